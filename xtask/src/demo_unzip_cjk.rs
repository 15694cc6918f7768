//! The demo of unzip-cjk: an archive with names in GBK, as Windows in China makes it.

use std::fs;

use crate::Result;
use crate::demo::Stage;

/// Names and texts of the archive.
const FILES: [(&str, &str); 3] = [
    ("新建文件夹/说明.txt", "readme\n"),
    ("新建文件夹/照片/夏天的海边.txt", "summer\n"),
    ("会议记录(二).txt", "minutes\n"),
];

/// Runs the demo.
pub(crate) fn run(stage: &Stage) -> Result {
    stage.explain("An archive as Windows makes it in China: names in GBK, and nothing says so.");
    let archive = stage.path("archive.zip");
    fs::write(&archive, gbk_archive()).map_err(|e| format!("{}: {e}", archive.display()))?;

    let listed = stage.run("unzip-cjk -l archive.zip")?;
    for (name, _) in FILES {
        if !listed.contains(name) {
            return Err(format!("{name} is not listed"));
        }
    }
    stage.run("unzip-cjk -d folder archive.zip")?;
    for (name, text) in FILES {
        let path = stage.path("folder").join(name);
        let found = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        if found != text {
            return Err(format!("{name} has another content"));
        }
    }
    stage.verified("Every file is there, under its name.");
    stage.run("unzip-cjk -l --guess archive.zip")?;
    stage.verified("What the names would be in other encodings.");
    Ok(())
}

/// Stored entries, made on FAT, without the flag for UTF-8 (APPNOTE.TXT 4.3).
fn gbk_archive() -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, text) in FILES {
        let (name, _, _) = encoding_rs::GBK.encode(name);
        let mut middle = [0; 4].to_vec();
        middle.extend([0x60, 0x55, 0xCF, 0x58]); // 2024-06-15 10:43
        middle.extend(crc32fast::hash(text.as_bytes()).to_le_bytes());
        middle.extend((text.len() as u32).to_le_bytes());
        middle.extend((text.len() as u32).to_le_bytes());
        middle.extend((name.len() as u16).to_le_bytes());
        middle.extend([0, 0]);
        directory.extend(b"PK\x01\x02\x14\0\x14\0");
        directory.extend(&middle);
        directory.extend([0; 6]); // no comment, disk 0
        directory.extend([0x20, 0, 0, 0]); // the archive attribute
        directory.extend((bytes.len() as u32).to_le_bytes());
        directory.extend(&*name);
        bytes.extend(b"PK\x03\x04\x14\0");
        bytes.extend(&middle);
        bytes.extend(&*name);
        bytes.extend(text.as_bytes());
    }
    let count = (FILES.len() as u16).to_le_bytes();
    let (offset, size) = (bytes.len() as u32, directory.len() as u32);
    bytes.extend(directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend([count, count].concat());
    bytes.extend(size.to_le_bytes());
    bytes.extend(offset.to_le_bytes());
    bytes.extend([0, 0]);
    bytes
}
