//! `--help`, `--version`, and what getopt_long(3) makes of other options.

use super::talk;
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

/// What the words before any operand ask for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A copy with these operands.
    Copy(Vec<OsString>),
    /// This text on standard output.
    Text(String),
    /// Nothing that dd does, with the reason.
    Nothing(String),
}

/// Takes the options out of the words, the first of which is the name of the program. The first
/// option decides. With POSIXLY_CORRECT set, options end at the first operand.
pub(super) fn take_options(words: Vec<OsString>) -> Wanted {
    let stops_early = std::env::var_os("POSIXLY_CORRECT").is_some();
    let mut operands = Vec::new();
    let mut words = words.into_iter().skip(1);
    for word in words.by_ref() {
        let bytes = word.as_bytes();
        if bytes == b"--" {
            break;
        }
        if !bytes.starts_with(b"-") || bytes == b"-" {
            operands.push(word);
            if stops_early {
                break;
            }
            continue;
        }
        return match bytes.strip_prefix(b"--") {
            Some(long) => long_option(&String::from_utf8_lossy(long)),
            None => {
                let letter = String::from_utf8_lossy(&bytes[1..]).chars().next();
                Wanted::Nothing(format!("invalid option -- '{}'", letter.unwrap_or('?')))
            }
        };
    }
    operands.extend(words);
    Wanted::Copy(operands)
}

fn long_option(word: &str) -> Wanted {
    let (name, value) = word
        .split_once('=')
        .map_or((word, None), |(n, v)| (n, Some(v)));
    let option = ["help", "version"]
        .into_iter()
        .find(|option| option.starts_with(name));
    match option.filter(|_| !name.is_empty()) {
        None => Wanted::Nothing(format!("unrecognized option '--{word}'")),
        Some(option) if value.is_some() => {
            Wanted::Nothing(format!("option '--{option}' doesn't allow an argument"))
        }
        Some("help") => Wanted::Text(text(&talk::name())),
        Some(_) => {
            Wanted::Text(concat!("dd (sparse-dd) ", env!("CARGO_PKG_VERSION"), "\n").to_owned())
        }
    }
}

/// Prints a text on standard output; false if that failed.
pub(super) fn print(text: &str) -> bool {
    let mut out = cli::output::Output::stdout();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.finish());
    if let Err(error) = &written {
        talk::diagnose(&format!("write error: {}", cli::diag::system_text(error)));
    }
    written.is_ok()
}

fn text(name: &str) -> String {
    format!(
        "\
Usage: {name} [OPERAND]...
  or:  {name} OPTION
Copy a file in blocks, converting it on the way.

  bs=BYTES        read and write so many bytes at a time (default: 512), instead of ibs and obs
  cbs=BYTES       the length of a record for block, unblock, ascii, ebcdic and ibm
  conv=WORDS      convert as the words say, separated by commas
  count=N         copy only N input blocks
  ibs=BYTES       read so many bytes at a time (default: 512)
  if=FILE         read from FILE instead of standard input
  iflag=WORDS     read as the words say, separated by commas
  obs=BYTES       write so many bytes at a time (default: 512)
  of=FILE         write to FILE instead of standard output
  oflag=WORDS     write as the words say, separated by commas
  seek=N, oseek=N skip N output blocks before writing
  skip=N, iseek=N skip N input blocks before reading
  status=LEVEL    none: print only errors; noxfer: without the line of bytes and time;
                  progress: print that line every second

N and BYTES may have a suffix: c=1, w=2, b=512, kB=1000, K=1024, MB=1000*1000, M=1024*1024, and so on
for G, T, P, E, Z, Y, R, Q; KiB=K, MiB=M; xN multiplies. An N that ends in B counts bytes, not blocks.

Words of conv=:
  ascii, ebcdic, ibm   EBCDIC to ASCII (unblock); ASCII to EBCDIC, or to its other form (block)
  block, unblock       lines to records of cbs bytes, padded with blanks; and back
  lcase, ucase         upper case to lower case; lower case to upper case
  swab                 swap each pair of bytes
  sync                 pad each input block with zeros (with blanks for block and unblock)
  sparse               make holes of zero output blocks; on a block device, clear them
  noerror              go on after read errors
  excl, nocreat        the output must not be there; it must be there
  notrunc              do not cut the output
  fdatasync, fsync     write data, or data and metadata, to the disk at the end

Words of iflag= and oflag=:
  append (oflag), direct, directory, dsync, sync, fullblock (iflag), nonblock, noatime, nocache,
  noctty, nofollow, count_bytes and skip_bytes (iflag), seek_bytes (oflag)

SIGUSR1 prints the statistics so far.

      --help      print this help
      --version   print the version
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(line: &str) -> Wanted {
        take_options(line.split(' ').map(OsString::from).collect())
    }

    #[test]
    fn options_and_operands() {
        let copy = |words: &[&str]| Wanted::Copy(words.iter().map(OsString::from).collect());
        let nothing = |why: &str| Wanted::Nothing(why.to_owned());
        assert_eq!(wanted("dd if=a -- of=b"), copy(&["if=a", "of=b"]));
        assert_eq!(wanted("dd -- -- -"), copy(&["--", "-"]));
        assert_eq!(wanted("dd -xy"), nothing("invalid option -- 'x'"));
        assert_eq!(
            wanted("dd a --foo=1"),
            nothing("unrecognized option '--foo=1'")
        );
        assert_eq!(
            wanted("dd --h=1"),
            nothing("option '--help' doesn't allow an argument")
        );
        assert!(matches!(wanted("dd if=a --ver --foo"), Wanted::Text(_)));
        assert!(matches!(wanted("dd --help"), Wanted::Text(_)));
    }
}
