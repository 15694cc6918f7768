//! The file of `--ranges`: which bytes of the source may have changed, as `offset length` a line.

use crate::Error;
use blkcore::{Extent, ExtentList};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// The longest line, in bytes. What is longer is not meant for this.
const LONGEST: usize = 1 << 16;
/// So many ranges are gathered before they are joined: what overlaps takes no memory twice.
const MANY: usize = 1 << 16;

/// Reads the file, or standard input for `-`. Lines that are empty or begin with `#` are passed over;
/// a range may begin, but not end, behind `size`.
pub(crate) fn read(path: &Path, size: u64) -> Result<ExtentList, Error> {
    if path.as_os_str() == "-" {
        return parse(
            BufReader::new(io::stdin()),
            Path::new("standard input"),
            size,
        );
    }
    let file = File::open(path).map_err(|e| Error::usage(path, &e))?;
    parse(BufReader::new(file), path, size)
}

fn parse(mut lines: impl BufRead, path: &Path, size: u64) -> Result<ExtentList, Error> {
    let (mut list, mut extents) = (ExtentList::new(), Vec::new());
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let most = LONGEST as u64 + 1;
        let read = lines.by_ref().take(most).read_until(b'\n', &mut line);
        if read.map_err(|e| Error::usage(path, &e))? == 0 {
            break;
        }
        let wrong = |why: &str| {
            let path = cli::diag::name(path);
            Error::Usage(format!("{path}: line {number}: {why}"))
        };
        if line.len() > LONGEST {
            return Err(wrong("too long"));
        }
        let line = str::from_utf8(&line).map_err(|_| wrong("not an offset and a length"))?;
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut words = line.split_ascii_whitespace();
        let (Some(offset), Some(length), None) = (words.next(), words.next(), words.next()) else {
            return Err(wrong("not an offset and a length"));
        };
        let bytes = |word: &str| cli::size::parse(word.as_ref()).map_err(|e| wrong(&e.to_string()));
        let (offset, length) = (bytes(offset)?, bytes(length)?);
        match offset.checked_add(length).filter(|end| *end <= size) {
            Some(end) => extents.push(Extent::new(offset, end)),
            None => return Err(wrong(&format!("beyond the end at byte {size}"))),
        }
        if extents.len() == MANY {
            list = list.union(&ExtentList::from_iter(extents.drain(..)));
        }
    }
    Ok(list.union(&ExtentList::from_iter(extents)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_text(text: &str) -> Result<Vec<(u64, u64)>, String> {
        let list = parse(text.as_bytes(), Path::new("r"), 1 << 20).map_err(|e| e.to_string())?;
        Ok(list.iter().map(|e| (e.start, e.end)).collect())
    }

    #[test]
    fn ranges_of_a_file() {
        let text = "# changed\n4096 4096\n\n  1K\t0x400 \n0 1024\n1M 0\n";
        assert_eq!(parse_text(text).unwrap(), [(0, 2048), (4096, 8192)]);
        for (text, why) in [
            ("1", "r: line 1: not an offset and a length"),
            ("\n1 2 3", "r: line 2: not an offset and a length"),
            ("1M 1", "r: line 1: beyond the end at byte 1048576"),
            ("-1 1", "r: line 1: '-1': not a size"),
        ] {
            assert_eq!(parse_text(text).unwrap_err(), why);
        }
        let zeros = BufReader::new(io::repeat(0));
        let endless = parse(zeros, Path::new("r"), 1 << 20).unwrap_err();
        assert_eq!(endless.to_string(), "r: line 1: too long");
        let many: String = (0..200_000).map(|n| format!("{} 1\n", n % 7 * 2)).collect();
        assert_eq!(parse_text(&many).unwrap().len(), 7);
    }
}
