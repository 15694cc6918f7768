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
