//! Scripts as people have them, run with the system's own dd and cmp, and again with one of ours first
//! in PATH: what they print, their status and their files are the same, apart from times and speeds.
//!
//! This is a test of sparse-dd (which is dd there) and of dupes (which is cmp).

#![allow(clippy::unwrap_used)]

mod common;

use common::{LoopDevice, can, find, run, skipped};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

/// The program of the crate that this is a test of.
const OURS: &str = match (
    option_env!("CARGO_BIN_EXE_sparse-dd"),
    option_env!("CARGO_BIN_EXE_dupes"),
) {
    (Some(path), _) | (_, Some(path)) => path,
    (None, None) => panic!("a test of sparse-dd or dupes"),
};

/// Its name as a stand-in.
const NAME: &str = match option_env!("CARGO_BIN_EXE_dupes") {
    Some(_) => "cmp",
    None => "dd",
};

/// Each begins in a folder with `img` (300 000 bytes of numbered lines with zeros among them) and
/// `text`. `$LOOP` is a loop device over `disk` in those that name it. Out of pipes they read with
/// `iflag=fullblock`: without it, how many records there are is a matter of time. Of two dd that run at
/// once, one says nothing: their lines, which GNU writes in parts, would come in any order.
const SCRIPTS: &[(&str, &str)] = &[
    (
        "partition table: make, back up, restore",
        "dd if=/dev/zero of=disk.img bs=1M count=0 seek=8
        printf '\\200\\0\\1\\0\\203\\3\\40\\77\\77\\0\\0\\0\\0\\40\\0\\0' | dd of=disk.img bs=1 seek=446 conv=notrunc
        printf '\\125\\252' | dd of=disk.img bs=1 seek=510 conv=notrunc status=noxfer
        dd if=disk.img of=mbr.bin bs=512 count=1
        cp img other.img
        dd if=mbr.bin of=other.img bs=1 skip=446 seek=446 count=66 conv=notrunc
        cmp -i 446 -n 66 disk.img other.img && echo restored",
    ),
    (
        "boot code without the partition table",
        "dd if=img of=disk.img bs=512 count=4
        dd if=text of=disk.img bs=446 count=1 conv=notrunc
        dd if=disk.img bs=446 skip=1 iflag=fullblock count=1 2>/dev/null | cksum",
    ),
    (
        "an image onto a device, and verified",
        "dd if=img of=$LOOP bs=4M conv=fsync
        size=$(stat -c %s img)
        cmp -n $size img $LOOP && echo verified
        dd if=$LOOP bs=2048 count=$((size / 2048)) | cksum
        dd if=img of=$LOOP bs=4096 oflag=direct count=8
        blockdev --flushbufs $LOOP
        cmp img $LOOP || echo longer
        dd if=/dev/zero of=$LOOP bs=64k
        cmp $LOOP /dev/zero; echo $?",
    ),
    (
        "swap file",
        "dd if=/dev/zero of=swap bs=1024 count=512 && chmod 600 swap && stat -c '%s %a' swap",
    ),
    (
        "benchmark",
        "dd if=/dev/zero of=bench bs=64k count=64 conv=fdatasync 2>&1 | sed -n 's/ copied,.*//p'
        dd if=bench of=/dev/null bs=8k 2>&1 | awk '/bytes/ { print $1, $NF ~ /B\\/s/ }'
        dd if=bench of=/dev/null bs=1M iflag=nocache; rm bench",
    ),
    (
        "zeroing a range",
        "cp img before
        dd if=/dev/zero of=img bs=4k seek=3 count=2 conv=notrunc
        cmp before img; cmp -l before img | wc -l; cmp -n 12288 before img && echo untouched before
        cmp -i 20480 before img && echo untouched behind",
    ),
    (
        "backup through gzip",
        "dd if=img bs=64k | gzip -n >backup.gz
        gzip -dc backup.gz | dd of=restored bs=64k iflag=fullblock && cmp img restored && echo same
        gzip -dc backup.gz | cmp - img && echo same
        rm backup.gz",
    ),
    (
        "checksums of ranges",
        "for i in 0 1 2 299 300; do dd if=img bs=1000 skip=$i count=1 2>/dev/null | cksum; done
        dd if=img iflag=skip_bytes,count_bytes skip=777 count=12345 bs=4k status=none | cksum
        dd if=img skip=777B count=12345B bs=4k | cksum",
    ),
    (
        "one block at an offset",
        "dd if=img bs=1 skip=12345 count=16 status=none | od -An -tx1
        dd if=img bs=512 skip=24 count=1 status=none | head -c 20 | od -An -c
        x=$(dd if=text bs=4 skip=1 count=1 2>/dev/null); echo \"[$x]\"",
    ),
    (
        "cmp in an if",
        "cp img new; if cmp -s img new; then echo unchanged; else mv new img; fi
        echo more >>new; if cmp -s img new; then echo unchanged; else echo changed $?; mv new img; fi
        if ! cmp -s img missing; then echo no $?; fi; cmp -s missing img; echo $?; cmp text img >/dev/null || echo differ",
    ),
    (
        "beginnings and headers",
        "{ head -c 64 text; cat img; } >with-header
        cmp -n 64 with-header text && cmp -i 64:0 with-header img && echo as expected
        cmp with-header img 64 && cmp -n 10 text img; echo $?",
    ),
    (
        "counting and listing differences",
        "sed s/7/8/ img >changed; cmp -l img changed | wc -l
        cmp -l img changed | awk '{ printf \"%08X %02X %02X\\n\", $1 - 1, $2, $3 }' | head -n 3
        cmp -bl img changed | tail -n 2; cmp img changed; cmp -b img changed; echo $?",
    ),
    (
        "split in parts and together again",
        "i=0; while dd if=img of=part.$i bs=70000 skip=$i count=1 2>/dev/null; [ -s part.$i ]; do i=$((i + 1)); done
        rm part.$i; ls part.*; cat part.* | cmp - img && echo whole
        i=0; for part in part.*; do dd if=$part of=joined bs=70000 seek=$i conv=notrunc; i=$((i + 1)); done; cmp img joined",
    ),
    (
        "patching bytes",
        "cp img patched; printf '\\377\\376' | dd of=patched bs=1 seek=1000 count=2 conv=notrunc
        cmp -l img patched; cmp img patched; stat -c %s patched
        printf done | dd of=patched oflag=append conv=notrunc status=none; tail -c 4 patched",
    ),
    (
        "with a progress line",
        "dd if=img of=copy bs=10k status=progress; cmp img copy; echo $?",
    ),
    (
        "several copies through tee",
        "dd if=img bs=8k 2>/dev/null | tee one | dd of=two bs=8k iflag=fullblock; cmp one two && cmp two img && echo alike",
    ),
    (
        "random data",
        "dd if=/dev/urandom of=key bs=32 count=1; stat -c %s key
        head -c 100000 /dev/urandom | dd of=noise bs=1k iflag=fullblock; cmp key noise >/dev/null; echo $?; rm key noise",
    ),
    (
        "wiping a superblock",
        "cp img fs; dd if=/dev/zero of=fs bs=1k seek=1 count=1 conv=notrunc,fsync
        dd if=fs bs=1k skip=1 count=1 2>/dev/null | tr -d '\\0' | wc -c; cmp -s img fs || echo wiped",
    ),
    (
        "byte order",
        "dd if=text of=swapped conv=swab; dd if=swapped conv=swab status=none | cmp text -; echo $?
        printf abcdefg | dd conv=swab 2>/dev/null; cmp text swapped",
    ),
    (
        "case and character sets in a pipe",
        "echo 'Mixed Case' | dd conv=ucase 2>/dev/null; echo 'Mixed Case' | dd conv=lcase status=none
        dd if=text conv=ebcdic of=records cbs=80; dd if=records conv=ascii cbs=80 | sed -n '1,2p'
        dd if=text conv=block cbs=20 2>&1 >fixed | sed 's/ copied.*//'; dd if=fixed conv=unblock cbs=20 status=none",
    ),
    (
        "what fails",
        "dd if=missing of=x || echo \"failed $?\"; dd if=img of=/no/such/file; echo $?
        dd if=img of=/dev/full bs=4k; echo $?; cmp missing img; echo $?; cmp img . ; echo $?; dd bs=wrong; cmp --wrong; cmp
        set -e; dd if=img of=out conv=nocreat; echo not reached",
    ),
    (
        "characters one at a time",
        "printf 'abc' | { while c=$(dd bs=1 count=1 2>/dev/null); [ -n \"$c\" ]; do echo \"<$c>\"; done; }
        { dd bs=100 count=1 of=header; dd bs=50 skip=1 count=1 of=middle; cat >body; } <img",
    ),
    (
        "making a file of a size",
        "dd if=/dev/null of=sparse bs=1 seek=1M; stat -c '%s %b' sparse; dd of=sparse bs=1k seek=2 count=0; stat -c %s sparse
        dd if=img of=holes bs=4k conv=sparse; cmp img holes && echo same; stat -c %b holes",
    ),
    (
        "over a link to another host",
        "dd if=img bs=1M 2>/dev/null | sh -c 'dd of=remote bs=64k iflag=fullblock' && cmp img remote && echo arrived
        (dd if=img bs=1k count=3; dd if=text) 2>/dev/null | dd bs=1000 iflag=fullblock of=joined; cksum joined",
    ),
    (
        "compared with zeros and with standard input",
        "cmp -n 4096 /dev/zero img; dd if=/dev/zero bs=1k count=8 status=none >zeros; cmp zeros /dev/zero; echo $?
        cmp -n 8192 zeros /dev/zero && echo zeros; cat img | cmp img; echo $?; cmp - text <img; (cat text; echo) | cmp text -",
    ),
    (
        "in the middle of a pipe that ends early",
        "dd if=/dev/zero bs=64k 2>/dev/null | head -c 100000 | cksum; dd if=img bs=1k status=none | head -n 2
        cmp -l img /dev/zero | head -n 2",
    ),
];

/// What a script left.
#[derive(Debug, PartialEq, Eq)]
struct Left {
    status: i32,
    stdout: String,
    stderr: String,
    files: BTreeMap<String, (u32, Vec<u8>)>,
}

fn run_script(test: &str, script: &str, ours: Option<&Path>) -> Option<Left> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let work = folder.path().join("work");
    fs::create_dir(&work).unwrap();
    let mut img: Vec<u8> = Vec::new();
    for n in 0.. {
        img.extend_from_slice(format!("line {n} of an image\n").as_bytes());
        if n % 1000 == 700 {
            img.resize(img.len() + 20_000, 0);
        }
        if img.len() > 300_000 {
            break;
        }
    }
    img.truncate(300_000);
    fs::write(work.join("img"), img).unwrap();
    let text = "First line\nthe second, which is longer than the others\n\nlast\n".repeat(9);
    fs::write(work.join("text"), text).unwrap();
    let device = match script.contains("$LOOP") {
        true => {
            fs::write(folder.path().join("disk"), vec![7; 512 << 10]).unwrap();
            Some(LoopDevice::attach(test, &folder.path().join("disk"))?)
        }
        false => None,
    };
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    if let Some(program) = ours {
        let bin = folder.path().join("bin");
        fs::create_dir(&bin).unwrap();
        symlink(program, bin.join(NAME)).unwrap();
        let old = std::mem::replace(&mut path, bin.into_os_string());
        path.push(":");
        path.push(old);
    }
    let mut sh = Command::new("sh");
    sh.args(["-c", script]).current_dir(&work);
    sh.env("LC_ALL", "C").env("PATH", path);
    if let Some(device) = &device {
        sh.env("LOOP", &device.0);
    }
    let ran = run(&mut sh);
    let files = fs::read_dir(&work).unwrap().map(|entry| {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        let name = entry.file_name().into_string().unwrap();
        (name, (mode, fs::read(entry.path()).unwrap()))
    });
    let name = device.map_or("?".to_owned(), |device| device.0.display().to_string());
    Some(Left {
        status: ran.code,
        stdout: without_times(&ran.out()).replace(&name, "LOOP"),
        stderr: without_times(&ran.stderr).replace(&name, "LOOP"),
        files: files.collect(),
    })
}

/// Statistics without time and rate.
fn without_times(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.starts_with('\r'));
    let lines = lines.map(|line| match line.split_once(" copied, ") {
        Some((bytes, _)) => format!("{bytes} copied\n"),
        None => format!("{line}\n"),
    });
    lines.collect()
}

#[test]
fn scripts_notice_no_difference() {
    const TEST: &str = "scripts_notice_no_difference";
    let is_gnu = |name: &str| {
        let program = find(name)?;
        let said = run(Command::new(program).arg("--version")).out();
        (said.contains("GNU") || said.contains("coreutils")).then_some(())
    };
    if !can(TEST, false, &["dd", "cmp"]) {
        return;
    }
    if is_gnu("dd").and(is_gnu("cmp")).is_none() {
        return skipped(TEST, "dd and cmp here are not GNU's");
    }
    for (name, script) in SCRIPTS {
        let Some(theirs) = run_script(TEST, script, None) else {
            continue;
        };
        let ours = run_script(TEST, script, Some(Path::new(OURS)));
        let is_same = ours.as_ref() == Some(&theirs);
        let shown = |left: &Left| {
            let files: Vec<_> = left
                .files
                .iter()
                .map(|(n, f)| (n, f.0, f.1.len()))
                .collect();
            format!(
                "{} {:?} {:?} {files:?}",
                left.status, left.stdout, left.stderr
            )
        };
        assert!(
            is_same,
            "{name}:\n theirs {}\n ours   {}",
            shown(&theirs),
            ours.as_ref().map_or("no loop device".to_owned(), shown)
        );
    }
}
