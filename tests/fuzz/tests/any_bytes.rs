//! Each target with bytes of a generator.

#[test]
fn targets_take_any_bytes() {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as u8
    };
    for round in 0..300_usize {
        let mut data: Vec<u8> = (0..round % 300).map(|_| next()).collect();
        fuzz::zip_extra(&data);
        fuzz::zip_names(&data);
        fuzz::zip_pattern(&data);
        data.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
        data.extend([next(), 0, 0, 0, next() % 64, 0, 0, 0, 0, 0]);
        fuzz::zip_archive(&data);
    }
}

/// An archive of one entry, of any method.
fn archive(method: u8, data: &[u8]) -> Vec<u8> {
    let size = (data.len() as u32).to_le_bytes();
    let middle = |flags: u8| {
        let mut bytes = vec![20, 0, flags, 0, method, 0, 0, 0, 0x21, 0, 1, 2, 3, 4];
        bytes.extend(size);
        bytes.extend([100, 0, 0, 0, 3, 0, 13, 0]);
        bytes
    };
    let extra = *b"\x55\x54\x09\0\x03aaaabbbb";
    let mut bytes = b"PK\x03\x04".to_vec();
    bytes.extend(middle(0));
    bytes.extend(b"d/n");
    bytes.extend(extra);
    bytes.extend(data);
    let start = bytes.len();
    bytes.extend(b"PK\x01\x02\x14\x03");
    bytes.extend(middle(0));
    bytes.extend([0; 8]);
    bytes.extend([0, 0, 0xA4, 0x81, 0, 0, 0, 0]);
    bytes.extend(b"d/n");
    bytes.extend(extra);
    let len = bytes.len() - start;
    bytes.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    bytes.extend((len as u32).to_le_bytes());
    bytes.extend((start as u32).to_le_bytes());
    bytes.extend([0, 0]);
    bytes
}

/// `BLKUTILS_ROUNDS` says how often.
#[test]
fn changed_archives_do_no_harm() {
    let rounds = std::env::var("BLKUTILS_ROUNDS").ok();
    let rounds: usize = rounds.and_then(|text| text.parse().ok()).unwrap_or(20);
    let mut state = 7_u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize % below
    };
    for round in 0..rounds {
        for method in [0, 1, 2, 5, 6, 8, 9, 12, 14, 93, 95, 98, 99] {
            let data: Vec<u8> = match method {
                8 if round % 2 == 0 => vec![0x4B, 0x4C, 0x04, 0x02, 0x00, 0x4C, 0x04, 0x02, 0x00],
                12 if round % 2 == 0 => b"BZh91AY&SY\x94\x7E\x4C\x2A\0\0\x02\x01".to_vec(),
                14 if round % 2 == 0 => vec![9, 20, 5, 0, 0x5D, 0, 0, 1, 0, 0, 0x30, 0x98],
                93 if round % 2 == 0 => vec![0x28, 0xB5, 0x2F, 0xFD, 0x04, 0x58, 0x19, 0, 0],
                _ => (0..next(60)).map(|_| next(256) as u8).collect(),
            };
            let mut bytes = archive(method, &data);
            for _ in 0..next(5) {
                let at = next(bytes.len());
                bytes[at] = [0, 1, 0x7F, 0xFF, next(256) as u8][next(5)];
            }
            if next(10) == 0 {
                bytes.truncate(next(bytes.len()));
            }
            fuzz::zip_archive(&bytes);
        }
    }
}
