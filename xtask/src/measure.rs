//! Runs one command and measures it: wall clock, CPU time, peak memory and bytes moved.
//!
//! The byte counts are in /proc/PID/io, which is gone once the process has been reaped. So we wait
//! for its end without reaping it, read the file, and reap it then. The file is opened at the start,
//! because that of an ended process belongs to root: only for a user who is not root, and a command
//! of less than a millisecond, the counts can be missing. Children that the command itself has waited
//! for are included. Reads through `mmap` are in no count but `disk_read`.

use std::fs::File;
use std::io::Read;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use crate::Result;

/// What one run took.
#[derive(Clone, Debug)]
pub(crate) struct Measurement {
    pub(crate) status: ExitStatus,
    pub(crate) wall: Duration,
    pub(crate) user: Duration,
    pub(crate) system: Duration,
    /// Bytes. Never less than what xtask itself had when it started the command: a few MiB.
    pub(crate) peak_memory: u64,
    pub(crate) moved: Option<Moved>,
}

/// Bytes that one run moved.
#[derive(Clone, Debug)]
pub(crate) struct Moved {
    /// Bytes that read calls returned, from the cache or not.
    pub(crate) read: u64,
    /// Bytes given to write calls.
    pub(crate) written: u64,
    /// Bytes that were really fetched from a block device.
    pub(crate) disk_read: u64,
}

/// Runs a command to its end. Its streams are left as the caller has set them.
pub(crate) fn run(command: &mut Command) -> Result<Measurement> {
    let name = command.get_program().display().to_string();
    let start = Instant::now();
    let child = command.spawn().map_err(|e| format!("{name}: {e}"))?;
    let io = File::open(format!("/proc/{}/io", child.id()));
    let ended = reap::wait_for_end(&child);
    let wall = start.elapsed();
    let moved = io.and_then(moved).ok();
    let usage = ended
        .and_then(|()| reap::reap(child))
        .map_err(|e| format!("{name}: {e}"))?;
    Ok(Measurement {
        status: usage.status,
        wall,
        user: usage.user,
        system: usage.system,
        peak_memory: usage.peak_memory,
        moved,
    })
}

/// Reads /proc/PID/io.
fn moved(mut io: File) -> std::io::Result<Moved> {
    let mut text = String::new();
    io.read_to_string(&mut text)?;
    let count = |field: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(field));
        line.and_then(|number| number.trim().parse().ok())
            .unwrap_or(0)
    };
    Ok(Moved {
        read: count("rchar:"),
        written: count("wchar:"),
        disk_read: count("read_bytes:"),
    })
}

/// The two system calls that std does not have.
mod reap {
    #![allow(unsafe_code)]

    use std::io::{Error, ErrorKind, Result};
    use std::mem::zeroed;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, ExitStatus};
    use std::time::Duration;

    pub(super) struct Usage {
        pub(super) status: ExitStatus,
        pub(super) user: Duration,
        pub(super) system: Duration,
        pub(super) peak_memory: u64,
    }

    /// Calls again what a signal has interrupted.
    fn uninterrupted(mut call: impl FnMut() -> libc::c_int) -> Result<()> {
        while call() < 0 {
            let error = Error::last_os_error();
            if error.kind() != ErrorKind::Interrupted {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Waits until the child has ended and leaves it unreaped.
    pub(super) fn wait_for_end(child: &Child) -> Result<()> {
        // SAFETY: siginfo_t is plain data, for which all zeros is a value.
        let mut info: libc::siginfo_t = unsafe { zeroed() };
        let flags = libc::WEXITED | libc::WNOWAIT;
        // SAFETY: `info` lives through the call; the child is ours and not reaped.
        uninterrupted(|| unsafe { libc::waitid(libc::P_PID, child.id(), &mut info, flags) })
    }

    /// Reaps the child; taking it by value keeps std from waiting for it again.
    pub(super) fn reap(child: Child) -> Result<Usage> {
        let mut status = 0;
        // SAFETY: rusage is plain data, for which all zeros is a value.
        let mut usage: libc::rusage = unsafe { zeroed() };
        let pid = child.id() as libc::pid_t;
        // SAFETY: both pointers live through the call; the child is ours and not reaped.
        uninterrupted(|| unsafe { libc::wait4(pid, &mut status, 0, &mut usage) })?;
        let time = |t: libc::timeval| {
            Duration::from_secs(t.tv_sec as u64) + Duration::from_micros(t.tv_usec as u64)
        };
        Ok(Usage {
            status: ExitStatus::from_raw(status),
            user: time(usage.ru_utime),
            system: time(usage.ru_stime),
            peak_memory: usage.ru_maxrss as u64 * 1024,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Stdio;

    #[test]
    fn bytes_time_and_status_are_those_of_the_child() {
        let mut command = Command::new("sh");
        let script = "head -c 3000000 /dev/zero | cat >/dev/null; exit 3";
        command.args(["-c", script]).stdout(Stdio::null());
        let measured = run(&mut command).unwrap();
        assert_eq!(measured.status.code(), Some(3));
        if let Some(moved) = &measured.moved {
            // head and cat read and write each byte once; the loader reads a few more.
            assert!((6_000_000..6_500_000).contains(&moved.read), "{measured:?}");
            assert!(
                (6_000_000..6_001_000).contains(&moved.written),
                "{measured:?}"
            );
        }
        assert!(measured.peak_memory > 100_000, "{measured:?}");
        assert!(measured.user + measured.system > Duration::ZERO);
    }

    #[test]
    fn a_missing_program_is_an_error() {
        assert!(run(&mut Command::new("/nowhere/at-all")).is_err());
    }
}
