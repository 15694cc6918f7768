//! Extracting and testing: what is chosen, in which order, and what it comes to.

use rustix::fs::Mode;
use std::ffi::OsStr;
use std::num::NonZero;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use crate::archive::{Archive, End};
use crate::args::Options;
use crate::directory::{Directory, Entry};
use crate::local::Headers;
use crate::plan::Run;
use crate::pool::Pool;
use crate::say::{Say, padded, shown, text};
use crate::select::Selection;
use crate::status::{self, Status};
use crate::target::Target;
use crate::{cover, method};

/// What happens to files that are there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overwrite {
    Ask,
    Always,
    Never,
}

/// What goes on from archive to archive.
#[derive(Debug)]
pub(crate) struct Extraction<'a> {
    pub(crate) options: &'a Options,
    pub(crate) overwrite: Overwrite,
    pub(crate) target: Option<Target>,
    /// Of names in messages: the folder that -d says, with a slash.
    pub(crate) prefix: Vec<u8>,
    pub(crate) password: Option<Arc<[u8]>>,
    /// No more questions for passwords.
    pub(crate) no_question: bool,
    pub(crate) umask: u32,
}

/// What is to be done with an archive.
#[derive(Debug, Default)]
struct Choice<'a> {
    entries: Vec<&'a Entry>,
    skipped: u64,
    status: Status,
    /// Something else than an end record follows the directory.
    no_end: bool,
}

impl<'a> Extraction<'a> {
    pub(crate) fn new(options: &'a Options) -> Extraction<'a> {
        let overwrite = match (options.overwrite_none, options.overwrite_all > 0) {
            (true, _) => Overwrite::Never,
            (false, true) => Overwrite::Always,
            (false, false) => Overwrite::Ask,
        };
        // There is no way to read it but to set it; no thread makes files yet.
        let umask = rustix::process::umask(Mode::empty());
        rustix::process::umask(umask);
        Extraction {
            options,
            overwrite,
            target: None,
            prefix: Vec::new(),
            password: None,
            no_question: false,
            umask: umask.as_raw_mode(),
        }
    }

    /// Extracts or tests what is selected.
    pub(crate) fn run(
        &mut self,
        archive: &Archive,
        end: &End,
        extra: i64,
        directory: &Directory,
        selection: &mut Selection,
        say: &mut Say,
    ) -> Status {
        if self.options.extracts()
            && let Some(refused) = self.open_target(say)
        {
            return refused;
        }
        let choice = self.choose(directory, end, selection, say);
        if say.quit {
            return status::WARNING;
        }
        let mut headers = Headers::new(archive);
        if let Some(refused) = self.refuse(&choice.entries, end, extra, &mut headers, say) {
            return refused;
        }
        let threads = self.threads(&choice.entries);
        let (reached_end, worst, counts) = thread::scope(|scope| {
            let pool = threads.and_then(|threads| Pool::start(scope, archive, threads));
            let aside = threads.is_some();
            let mut run = Run::new(self, archive, extra, headers, pool, aside, say);
            let reached_end = run.entries(&choice.entries);
            run.finish();
            (reached_end, run.status, run.counts)
        });
        let mut worst = worst.max(choice.status);
        if !reached_end {
            return worst;
        }
        for line in selection.missing() {
            say.err(line);
            if worst <= status::WARNING {
                worst = status::NOT_FOUND;
            }
        }
        selection.missing_excluded().for_each(|line| say.err(line));
        if choice.no_end {
            say.err(status::END_SIGNATURE);
            say.err(status::REPORT);
            worst = worst.max(status::WARNING);
        }
        let (done, bad) = (counts.entries, counts.bad_passwords);
        if self.options.test && self.options.quiet < 2 {
            self.test_summary(archive, worst, &choice, done - bad, bad, selection, say);
        }
        match worst {
            _ if worst > status::WARNING => worst,
            _ if done == 0 && choice.skipped > 0 => status::UNSUPPORTED,
            _ if done == 0 => status::NOT_FOUND,
            _ if done == bad => status::BAD_PASSWORD,
            _ if choice.skipped > 0 => status::UNSUPPORTED,
            _ if bad > 0 => status::WARNING,
            _ => worst,
        }
    }

    /// One for each processor, if there is anything to share.
    fn threads(&self, entries: &[&Entry]) -> Option<NonZero<usize>> {
        /// Less is done before a thread has started.
        const WORTH_IT: u64 = 512 << 10;
        // Who stops after a screen has seen all that was extracted.
        if self.options.pipe || self.options.more {
            return None;
        }
        let work = |entry: &&Entry| entry.packed.max(entry.size / 4).saturating_add(16 << 10);
        let total = entries.iter().map(work).fold(0, u64::saturating_add);
        let threads = self
            .options
            .threads
            .or_else(|| thread::available_parallelism().ok())?;
        let most = NonZero::new(entries.len())?;
        (threads.get() > 1 && total >= WORTH_IT).then_some(threads.min(most))
    }

    /// Opens the folder to extract to, and makes it if it is not there.
    fn open_target(&mut self, say: &mut Say) -> Option<Status> {
        if self.target.is_some() {
            return None;
        }
        let mut path = self
            .options
            .folder
            .as_deref()
            .unwrap_or_default()
            .as_bytes();
        if path.len() > 1 {
            path = path.strip_suffix(b"/").unwrap_or(path);
        }
        let name = if path.is_empty() { b"." } else { path };
        let name = Path::new(OsStr::from_bytes(name));
        let unbound = self.options.dot_dot > 0;
        let opened = match Target::open(name, unbound) {
            Err(rustix::io::Errno::NOENT) if self.options.freshen => return Some(status::OK),
            Err(rustix::io::Errno::NOENT) => {
                match rustix::fs::mkdir(name, Mode::from_raw_mode(0o777)) {
                    Ok(()) => Target::open(name, unbound),
                    // Somebody else has made it just now, or it is a link to nowhere.
                    Err(e) => Target::open(name, unbound).map_err(|_| e),
                }
            }
            opened => opened,
        };
        match opened {
            Ok(target) => {
                self.target = Some(target);
                self.prefix = path.to_vec();
                if !path.is_empty() && path != b"/" {
                    self.prefix.push(b'/');
                }
                None
            }
            Err(e) => {
                let why = cli::diag::system_text(&e.into());
                say.err(text!(
                    "checkdir:  cannot create extraction directory: ",
                    shown(path),
                    "\n           ",
                    why,
                    "\n"
                ));
                Some(status::ERROR)
            }
        }
    }

    /// Selects entries, and says which of them cannot be extracted.
    fn choose<'d>(
        &self,
        directory: &'d Directory,
        end: &End,
        selection: &mut Selection,
        say: &mut Say,
    ) -> Choice<'d> {
        let mut choice = Choice::default();
        let talk = match self.options.test {
            true => self.options.quiet == 0,
            false => self.options.is_talkative(),
        };
        for entry in &directory.entries {
            if !entry.check_extra(self.options, say) {
                choice.status = choice.status.max(status::WARNING);
            }
            if !selection.takes(&entry.name) {
                continue;
            }
            let method = entry.inner_method();
            if method::is_supported(method) {
                choice.entries.push(entry);
                continue;
            }
            choice.skipped += 1;
            if talk {
                let why = method::unsupported(method);
                let name = padded(&shown(&entry.name), 22);
                say.err(text!("   skipping: ", name, "  ", why, "\n"));
            }
        }
        let met = choice.entries.len() as u64;
        match status::directory_end(directory, end, met, say) {
            Some(broken) => choice.status = choice.status.max(broken),
            None => {
                choice.no_end = match directory.after {
                    crate::directory::After::Signature(s) => !end.may_follow_directory(s),
                    crate::directory::After::Nothing => false,
                }
            }
        }
        choice
    }

    /// Looks for overlaps and limits before anything is written.
    fn refuse(
        &self,
        entries: &[&Entry],
        end: &End,
        extra: i64,
        headers: &mut Headers,
        say: &mut Say,
    ) -> Option<Status> {
        let mut pieces = cover::of_end(end, extra.max(0).unsigned_abs());
        let (mut total, mut worst) = (0_u64, 0);
        for entry in entries {
            let shifts = if extra == 0 { &[0][..] } else { &[extra, 0] };
            let found = shifts.iter().find_map(|shift| {
                let at = entry.offset.checked_add_signed(*shift)?;
                headers.read(entry, at).ok()
            });
            // One without a header is reported when it is its turn.
            let Some(local) = found else { continue };
            pieces.push((local.start, local.end()));
            total = total.saturating_add(local.size);
            worst = worst.max(local.size / local.packed.max(1));
        }
        if cover::overlaps(pieces) {
            say.err("error: invalid zip file with overlapped components (possible zip bomb)\n");
            return Some(status::BOMB);
        }
        let count = entries.len() as u64;
        for (name, found, most) in [
            ("files", count, self.options.max_files),
            ("bytes", total, self.options.max_size),
            ("times the packed size", worst, self.options.max_ratio),
        ] {
            if let Some(most) = most.filter(|most| found > *most) {
                say.err(format!(
                    "error:  {found} {name}, and no more than {most} are allowed (possible zip bomb)\n"
                ));
                return Some(status::BOMB);
            }
        }
        None
    }

    #[allow(clippy::too_many_arguments)]
    fn test_summary(
        &self,
        archive: &Archive,
        worst: Status,
        choice: &Choice,
        good: u64,
        bad: u64,
        selection: &Selection,
        say: &mut Say,
    ) {
        let name = &archive.name;
        let s = |n: u64| if n == 1 { "" } else { "s" };
        let skipped = choice.skipped;
        say.out(if worst != status::OK {
            let kind = if worst == status::WARNING {
                "warning-"
            } else {
                ""
            };
            text!("At least one ", kind, "error was detected in ", name, ".\n")
        } else if good == 0 {
            text!("Caution:  zero files tested in ", name, ".\n")
        } else if selection.takes_all() && skipped + bad == 0 {
            text!("No errors detected in compressed data of ", name, ".\n")
        } else {
            text!(
                "No errors detected in ",
                name,
                format!(" for the {good} file{} tested.\n", s(good))
            )
        });
        if skipped > 0 {
            say.out(format!(
                "{skipped} file{} skipped because of unsupported compression or encoding.\n",
                s(skipped)
            ));
        }
        if bad > 0 {
            say.out(format!(
                "{bad} file{} skipped because of incorrect password.\n",
                s(bad)
            ));
        }
    }
}
