//! dd's operands (coreutils manual, "dd invocation"): what they are, and which go together.

use super::counts::Status;
use super::number::{self, Wrong};
use super::talk;
use cli::quote;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// A number of whole blocks, and of bytes beyond them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Blocks {
    pub(super) records: u64,
    pub(super) bytes: u64,
}

impl Blocks {
    pub(super) fn is_none(self) -> bool {
        self == Blocks::default()
    }

    /// All of it in bytes, if that is an offset.
    pub(super) fn total(self, block: u64) -> Option<u64> {
        let bytes = self.records.checked_mul(block)?.checked_add(self.bytes)?;
        (bytes <= i64::MAX as u64).then_some(bytes)
    }
}

/// The words of `conv=`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Conversions {
    pub(super) ascii: bool,
    pub(super) ebcdic: bool,
    pub(super) ibm: bool,
    pub(super) block: bool,
    pub(super) unblock: bool,
    pub(super) lcase: bool,
    pub(super) ucase: bool,
    pub(super) swab: bool,
    pub(super) sparse: bool,
    pub(super) noerror: bool,
    pub(super) nocreat: bool,
    pub(super) excl: bool,
    pub(super) notrunc: bool,
    pub(super) sync: bool,
    pub(super) fdatasync: bool,
    pub(super) fsync: bool,
}

impl Conversions {
    fn add(&mut self, word: &[u8]) -> bool {
        let flag = match word {
            b"ascii" => {
                self.unblock = true;
                &mut self.ascii
            }
            b"ebcdic" => {
                self.block = true;
                &mut self.ebcdic
            }
            b"ibm" => {
                self.block = true;
                &mut self.ibm
            }
            b"block" => &mut self.block,
            b"unblock" => &mut self.unblock,
            b"lcase" => &mut self.lcase,
            b"ucase" => &mut self.ucase,
            b"swab" => &mut self.swab,
            b"sparse" => &mut self.sparse,
            b"noerror" => &mut self.noerror,
            b"nocreat" => &mut self.nocreat,
            b"excl" => &mut self.excl,
            b"notrunc" => &mut self.notrunc,
            b"sync" => &mut self.sync,
            b"fdatasync" => &mut self.fdatasync,
            b"fsync" => &mut self.fsync,
            _ => return false,
        };
        *flag = true;
        true
    }

    /// Whether the bytes of the input are changed (padding aside).
    pub(super) fn change_bytes(&self) -> bool {
        let records = self.ascii || self.ebcdic || self.ibm || self.block || self.unblock;
        records || self.lcase || self.ucase || self.swab
    }
}

/// The words of `iflag=` or `oflag=`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flags {
    /// Those of open(2).
    pub(super) open: OFlag,
    pub(super) fullblock: bool,
    pub(super) nocache: bool,
    count_bytes: bool,
    skip_bytes: bool,
    seek_bytes: bool,
    /// A number is of bytes by its `B`.
    by_suffix: bool,
}

impl Flags {
    fn new() -> Flags {
        Flags {
            open: OFlag::empty(),
            fullblock: false,
            nocache: false,
            count_bytes: false,
            skip_bytes: false,
            seek_bytes: false,
            by_suffix: false,
        }
    }

    fn add(&mut self, word: &[u8]) -> bool {
        let flag = match word {
            b"append" => OFlag::O_APPEND,
            b"direct" => OFlag::O_DIRECT,
            b"directory" => OFlag::O_DIRECTORY,
            b"dsync" => OFlag::O_DSYNC,
            b"noatime" => OFlag::O_NOATIME,
            b"noctty" => OFlag::O_NOCTTY,
            b"nofollow" => OFlag::O_NOFOLLOW,
            b"nonblock" => OFlag::O_NONBLOCK,
            b"sync" => OFlag::O_SYNC,
            _ => {
                let own = match word {
                    b"fullblock" => &mut self.fullblock,
                    b"nocache" => &mut self.nocache,
                    b"count_bytes" => &mut self.count_bytes,
                    b"skip_bytes" => &mut self.skip_bytes,
                    b"seek_bytes" => &mut self.seek_bytes,
                    _ => return false,
                };
                *own = true;
                return true;
            }
        };
        self.open |= flag;
        true
    }

    /// Whether an inherited descriptor has to be looked at because of these.
    pub(super) fn need_descriptor(&self) -> bool {
        self.count_bytes || self.skip_bytes || self.seek_bytes || self.by_suffix
    }

    pub(super) fn direct(&self) -> bool {
        self.open.contains(OFlag::O_DIRECT)
    }
}

/// What a command line asks for. Sizes are bytes.
#[derive(Clone, Debug)]
pub(super) struct Operands {
    pub(super) input: Option<OsString>,
    pub(super) output: Option<OsString>,
    pub(super) ibs: u64,
    pub(super) obs: u64,
    /// 0 where none is given.
    pub(super) cbs: u64,
    /// Output blocks are put together anew; without it each input block is written as it was read.
    pub(super) reblock: bool,
    pub(super) skip: Blocks,
    pub(super) seek: Blocks,
    /// `None`: to the end of the input.
    pub(super) count: Option<Blocks>,
    pub(super) conv: Conversions,
    pub(super) iflag: Flags,
    pub(super) oflag: Flags,
    pub(super) status: Status,
}

impl Operands {
    pub(super) fn copies_nothing(&self) -> bool {
        self.count.is_some_and(Blocks::is_none)
    }
}

/// What is said of operands that cannot be carried out.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// With a hint to `--help`.
    Usage(String),
    Plain(String),
}

use Refusal::{Plain, Usage};

const DEFAULT_BLOCK: u64 = 512;

/// A number as it was given, and whether a `B` in it says that it is of bytes.
#[derive(Clone, Copy, Default)]
struct Given {
    number: u64,
    is_bytes: bool,
}

impl Given {
    fn blocks(self, is_bytes: bool, block: u64) -> Blocks {
        match is_bytes || self.is_bytes {
            true => Blocks {
                records: self.number / block,
                bytes: self.number % block,
            },
            false => Blocks {
                records: self.number,
                bytes: 0,
            },
        }
    }
}

/// Reads operands. Warnings are printed at once.
pub(super) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Operands, Refusal> {
    let mut operands = Operands {
        input: None,
        output: None,
        ibs: 0,
        obs: 0,
        cbs: 0,
        reblock: true,
        skip: Blocks::default(),
        seek: Blocks::default(),
        count: None,
        conv: Conversions::default(),
        iflag: Flags::new(),
        oflag: Flags::new(),
        status: Status::default(),
    };
    let mut block = 0;
    let (mut skip, mut seek) = (Given::default(), Given::default());
    let mut count = None;
    for word in words {
        let unknown = || {
            let name = quote::always(word.as_bytes());
            Usage(format!("unrecognized operand {name}"))
        };
        let at = word.as_bytes().iter().position(|b| *b == b'=');
        let at = at.ok_or_else(unknown)?;
        let (name, value) = (&word.as_bytes()[..at], &word.as_bytes()[at + 1..]);
        match name {
            b"if" => operands.input = Some(OsString::from_vec(value.to_vec())),
            b"of" => operands.output = Some(OsString::from_vec(value.to_vec())),
            b"conv" => each(value, "invalid conversion", |w| operands.conv.add(w))?,
            b"iflag" => each(value, "invalid input flag", |w| operands.iflag.add(w))?,
            b"oflag" => each(value, "invalid output flag", |w| operands.oflag.add(w))?,
            b"status" => each(value, "invalid status level", |w| {
                operands.status = match w {
                    b"none" => Status::None,
                    b"noxfer" => Status::NoTransfer,
                    b"progress" => Status::Progress,
                    _ => return false,
                };
                true
            })?,
            _ => {
                let number = read_number(value);
                let given = || -> Result<Given, Refusal> {
                    Ok(Given {
                        number: check_number(value, number, 0, i64::MAX as u64)?,
                        is_bytes: value.contains(&b'B'),
                    })
                };
                let size = |max| check_number(value, number, 1, max);
                match name {
                    b"ibs" => operands.ibs = size(i64::MAX as u64 - 1)?,
                    b"obs" => operands.obs = size(i64::MAX as u64 - 1)?,
                    b"bs" => block = size(i64::MAX as u64 - 1)?,
                    b"cbs" => operands.cbs = size(i64::MAX as u64)?,
                    b"skip" | b"iseek" => skip = given()?,
                    b"seek" | b"oseek" => seek = given()?,
                    b"count" => count = Some(given()?),
                    _ => return Err(unknown()),
                }
            }
        }
    }
    if block > 0 {
        (operands.ibs, operands.obs) = (block, block);
        operands.reblock = operands.conv.change_bytes();
    }
    for size in [&mut operands.ibs, &mut operands.obs] {
        if *size == 0 {
            *size = DEFAULT_BLOCK;
        }
    }
    if operands.cbs == 0 {
        (operands.conv.block, operands.conv.unblock) = (false, false);
    }
    if operands.oflag.fullblock {
        let name = quote::in_locale(b"fullblock");
        return Err(Usage(format!("invalid output flag: {name}")));
    }
    let (iflag, oflag) = (operands.iflag, operands.oflag);
    operands.skip = skip.blocks(iflag.skip_bytes, operands.ibs);
    operands.seek = seek.blocks(oflag.seek_bytes, operands.obs);
    operands.count = count
        .filter(|given| given.number != i64::MAX as u64)
        .map(|given| given.blocks(iflag.count_bytes, operands.ibs));
    operands.iflag.by_suffix = skip.is_bytes || count.is_some_and(|given| given.is_bytes);
    operands.oflag.by_suffix = seek.is_bytes;
    check(&operands)?;
    if iflag.open.intersects(OFlag::O_DSYNC | OFlag::O_SYNC) {
        operands.iflag.open |= OFlag::O_RSYNC;
    }
    Ok(operands)
}

/// What cannot be combined.
fn check(operands: &Operands) -> Result<(), Refusal> {
    let conv = &operands.conv;
    let charsets = [conv.ascii, conv.ebcdic, conv.ibm];
    let no_cache = |flags: &Flags| flags.direct() && flags.nocache;
    let what = if charsets.into_iter().filter(|set| *set).count() > 1 {
        "any two of {ascii,ebcdic,ibm}"
    } else if conv.block && conv.unblock {
        "block and unblock"
    } else if conv.lcase && conv.ucase {
        "lcase and ucase"
    } else if conv.excl && conv.nocreat {
        "excl and nocreat"
    } else if no_cache(&operands.iflag) || no_cache(&operands.oflag) {
        "direct and nocache"
    } else {
        return Ok(());
    };
    Err(Plain(format!("cannot combine {what}")))
}

/// Takes the words of a list apart.
fn each(list: &[u8], wrong: &str, mut add: impl FnMut(&[u8]) -> bool) -> Result<(), Refusal> {
    for word in list.split(|b| *b == b',') {
        if !add(word) {
            return Err(Usage(format!("{wrong}: {}", quote::in_locale(word))));
        }
    }
    Ok(())
}

fn read_number(value: &[u8]) -> Result<u64, Wrong> {
    let number = number::parse(value)?;
    if number.zero_by_0x {
        let (zero, meant) = (quote::in_locale(b"0x"), quote::in_locale(b"00x"));
        talk::diagnose(&format!(
            "warning: {zero} is a zero multiplier; use {meant} if that is intended"
        ));
    }
    Ok(number.value)
}

fn check_number(
    value: &[u8],
    number: Result<u64, Wrong>,
    min: u64,
    max: u64,
) -> Result<u64, Refusal> {
    let wrong = match number {
        Ok(number) if number < min => Wrong::Invalid,
        Ok(number) if number > max => Wrong::TooLarge,
        Ok(number) => return Ok(number),
        Err(wrong) => wrong,
    };
    let name = quote::always(value);
    Err(Plain(match wrong {
        Wrong::Invalid => format!("invalid number: {name}"),
        Wrong::TooLarge => format!("invalid number: {name}: {}", talk::text(Errno::EOVERFLOW)),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Result<Operands, Refusal> {
        parse(line.split(' ').map(OsString::from))
    }

    #[test]
    fn block_sizes() {
        let sizes = |line| words(line).map(|o| (o.ibs, o.obs, o.reblock)).unwrap();
        assert_eq!(sizes("count=1"), (512, 512, true));
        assert_eq!(sizes("ibs=3 obs=5"), (3, 5, true));
        assert_eq!(sizes("bs=3 ibs=1 obs=1"), (3, 3, false));
        assert_eq!(sizes("bs=3 conv=swab"), (3, 3, true));
        assert_eq!(sizes("bs=3 conv=ascii"), (3, 3, true));
        assert_eq!(sizes("bs=3 conv=sparse,sync"), (3, 3, false));
    }

    #[test]
    fn bytes_and_blocks() {
        let blocks = |records, bytes| Blocks { records, bytes };
        let o = words("ibs=10 obs=4 count=25B skip=3 seek=7B").unwrap();
        assert_eq!(o.count, Some(blocks(2, 5)));
        assert_eq!((o.skip, o.seek), (blocks(3, 0), blocks(1, 3)));
        let o = words("ibs=10 iflag=count_bytes,skip_bytes count=25 iseek=12").unwrap();
        assert_eq!((o.count, o.skip), (Some(blocks(2, 5)), blocks(1, 2)));
        assert!(words("count=0").unwrap().copies_nothing());
        assert_eq!(words("count=9223372036854775807").unwrap().count, None);
    }

    #[test]
    fn block_and_unblock_need_cbs() {
        assert!(!words("conv=block,unblock").unwrap().conv.block);
        assert!(words("conv=ebcdic cbs=4").unwrap().conv.block);
    }

    #[test]
    fn what_is_refused() {
        let plain = |text: &str| Plain(text.to_owned());
        let usage = |text: &str| Usage(text.to_owned());
        for (line, why) in [
            ("bs=0", plain("invalid number: '0'")),
            ("count=-1", plain("invalid number: '-1'")),
            (
                "bs=9223372036854775807",
                plain(
                    "invalid number: '9223372036854775807': Value too large for defined data type",
                ),
            ),
            (
                "conv=ascii,ibm",
                plain("cannot combine any two of {ascii,ebcdic,ibm}"),
            ),
            ("conv=lcase,ucase", plain("cannot combine lcase and ucase")),
            (
                "conv=block,unblock cbs=1",
                plain("cannot combine block and unblock"),
            ),
            (
                "conv=excl,nocreat",
                plain("cannot combine excl and nocreat"),
            ),
            (
                "oflag=direct,nocache",
                plain("cannot combine direct and nocache"),
            ),
            ("fred", usage("unrecognized operand 'fred'")),
            ("fred=1", usage("unrecognized operand 'fred=1'")),
            ("conv=", usage("invalid conversion: ''")),
            ("conv=swab,,sync", usage("invalid conversion: ''")),
            ("iflag=cio", usage("invalid input flag: 'cio'")),
            ("oflag=fullblock", usage("invalid output flag: 'fullblock'")),
            ("status=all", usage("invalid status level: 'all'")),
        ] {
            assert_eq!(words(line).unwrap_err(), why, "{line}");
        }
    }

    #[test]
    fn the_last_status_counts() {
        assert_eq!(
            words("status=none,noxfer").unwrap().status,
            Status::NoTransfer
        );
        assert_eq!(
            words("status=noxfer status=none").unwrap().status,
            Status::None
        );
    }
}
