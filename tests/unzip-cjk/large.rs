//! Archives beyond 4 GiB that take little room: zeros that are deflated, and a hole that is stored.

use super::*;
use flate2::{Compress, Compression, FlushCompress};
use std::fs::File;
use std::io::{Seek, SeekFrom};

/// An entry of zeros, or of a few bytes.
struct Entry {
    name: &'static [u8],
    method: u16,
    crc: u32,
    size: u64,
    packed: u64,
    offset: u64,
}

/// The CRC of so many zeros.
fn crc_of_zeros(size: u64) -> u32 {
    const PIECE: u64 = 1 << 20;
    let mut whole = crc32fast::Hasher::new();
    let mut piece = crc32fast::Hasher::new();
    piece.update(&vec![0; PIECE as usize]);
    for _ in 0..size / PIECE {
        whole.combine(&piece);
    }
    whole.update(&vec![0; (size % PIECE) as usize]);
    whole.finalize()
}

/// Deflated zeros, `PIECE` bytes of them, that may stand any number of times before an end.
fn deflated_piece(piece: u64) -> Vec<u8> {
    let mut deflated = Vec::with_capacity(1 << 20);
    let mut deflate = Compress::new(Compression::best(), false);
    let zeros = vec![0; piece as usize];
    deflate
        .compress_vec(&zeros, &mut deflated, FlushCompress::Full)
        .unwrap();
    assert_eq!(deflate.total_in(), piece);
    deflated
}

fn local_header(file: &mut File, entry: &Entry) {
    let mut head = b"PK\x03\x04\x2d\0\0\0".to_vec();
    head.extend(entry.method.to_le_bytes());
    head.extend([0x6f, 0x52, 0xcf, 0x58]);
    head.extend(entry.crc.to_le_bytes());
    head.extend([0xFF; 8]);
    head.extend((entry.name.len() as u16).to_le_bytes());
    head.extend([20, 0]);
    head.extend(entry.name);
    head.extend([1, 0, 16, 0]);
    head.extend(entry.size.to_le_bytes());
    head.extend(entry.packed.to_le_bytes());
    file.write_all(&head).unwrap();
}

fn directory(file: &mut File, entries: &[Entry]) {
    let start = file.stream_position().unwrap();
    for entry in entries {
        let mut head = b"PK\x01\x02\x2d\x03\x2d\0\0\0".to_vec();
        head.extend(entry.method.to_le_bytes());
        head.extend([0x6f, 0x52, 0xcf, 0x58]);
        head.extend(entry.crc.to_le_bytes());
        head.extend([0xFF; 8]);
        head.extend((entry.name.len() as u16).to_le_bytes());
        head.extend([28, 0, 0, 0, 0, 0, 0, 0]);
        head.extend((0o100644_u32 << 16).to_le_bytes());
        head.extend([0xFF; 4]);
        head.extend(entry.name);
        head.extend([1, 0, 24, 0]);
        for value in [entry.size, entry.packed, entry.offset] {
            head.extend(value.to_le_bytes());
        }
        file.write_all(&head).unwrap();
    }
    let end = file.stream_position().unwrap();
    let count = entries.len() as u64;
    let mut record = b"PK\x06\x06".to_vec();
    record.extend(44_u64.to_le_bytes());
    record.extend([45, 3, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for value in [count, count, end - start, start] {
        record.extend(value.to_le_bytes());
    }
    record.extend(b"PK\x06\x07\0\0\0\0");
    record.extend(end.to_le_bytes());
    record.extend(1_u32.to_le_bytes());
    record.extend(b"PK\x05\x06\0\0\0\0");
    record.extend([0xFF; 12]);
    record.extend([0, 0]);
    file.write_all(&record).unwrap();
}

/// `zeros`, of `size` bytes, deflated or a hole in the archive; then `small`, of the bytes `small`.
fn archive(path: &Path, size: u64, deflated: bool) {
    const PIECE: u64 = 16 << 20;
    let mut file = File::create(path).unwrap();
    let piece = deflated_piece(PIECE);
    assert_eq!(size % PIECE, 0);
    let mut zeros = Entry {
        name: b"zeros",
        method: if deflated { 8 } else { 0 },
        crc: crc_of_zeros(size),
        size,
        packed: size,
        offset: 0,
    };
    if deflated {
        zeros.packed = size / PIECE * piece.len() as u64 + 2;
    }
    local_header(&mut file, &zeros);
    if deflated {
        for _ in 0..size / PIECE {
            file.write_all(&piece).unwrap();
        }
        file.write_all(&[3, 0]).unwrap(); // the last block, empty
    } else {
        file.seek(SeekFrom::Current(size as i64)).unwrap();
    }
    let small = Entry {
        name: b"small",
        method: 0,
        crc: crc32fast::hash(b"small"),
        size: 5,
        packed: 5,
        offset: file.stream_position().unwrap(),
    };
    local_header(&mut file, &small);
    file.write_all(b"small").unwrap();
    directory(&mut file, &[zeros, small]);
}

#[test]
fn archives_beyond_4_gib_are_no_bombs() {
    const SIZE: u64 = (4 << 30) + (16 << 20);
    for deflated in [true, false] {
        let dir = Dir::new();
        let path = dir.path("a.zip");
        archive(&path, SIZE, deflated);
        let path = path.to_str().unwrap();
        let listed = dir.ours(&["-lqq", path]).exits(0).out();
        let sizes: Vec<&str> = listed
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        assert_eq!(sizes, [&SIZE.to_string()[..], "5"], "{listed}");
        let tested = dir.ours(&["-t", path]).exits(0).out();
        assert!(tested.contains("No errors detected"), "{tested}");
        dir.ours(&["-q", path, "small"]).exits(0);
        assert_eq!(fs::read(dir.path("work/small")).unwrap(), b"small");
        if has_unzip("archives_beyond_4_gib_are_no_bombs") {
            for args in [&["-v", path][..], &["-Zv", path], &["-Z", path]] {
                let real = run(tool("unzip").args(args));
                assert_eq!(dir.ours(args).exits(0).out(), real.out(), "{args:?}");
            }
        }
    }
}
