//! The disks of a migration: made, copied pass by pass, and removed where they were.

use super::{Migration, SETTLES, interrupted};
use crate::error::Error;
use crate::memory::Transfer;
use crate::passes::{self, Passes};
use crate::plan::{Copied, Create};
use crate::shell::quoted;
use crate::step::Trouble;
use cli::progress::Progress;
use std::thread;
use std::time::{Duration, Instant};

impl Migration<'_> {
    pub(super) fn prepare(&mut self) -> Result<(), Trouble> {
        for copy in &self.plan.copied {
            let (target, size) = (quoted(&copy.target), copy.size);
            let script = match &copy.create {
                None => continue,
                // Nobody else's file of this name is taken.
                Some(Create::File) => format!(
                    "set -C; : > {target} && chmod 600 {target} && truncate -s {size} {target}"
                ),
                // The last extent may reach beyond what is copied: what it held before is nobody's business.
                Some(Create::Lvm { group, name }) => format!(
                    "lvcreate -q -y -W y -L {size}b -n {} -- {} && n=$(blockdev --getsize64 {target}) && \
                     n=$((n - {size})) && {{ [ $n -le 0 ] || head -c $n /dev/zero | \
                     dd of={target} bs=64K iflag=fullblock oflag=seek_bytes seek={size} conv=notrunc,fsync status=none; }}",
                    quoted(name),
                    quoted(group)
                ),
            };
            self.say(format_args!("{}: making {}", copy.vdev, copy.target));
            self.target.ask(&copy.target, &script)?;
        }
        Ok(())
    }

    pub(super) fn presync(&mut self) -> Result<(), Trouble> {
        let total = self.plan.copied.iter().map(|copy| copy.size).sum();
        self.passes = Some(Passes::start(
            &self.plan.copied,
            &self.reach,
            &self.blocksync,
        )?);
        while passes::another(&self.all, self.args.max_passes, self.args.max_downtime) {
            let progress = Progress::start(self.args.progress(), "compared", Some(total));
            self.pass(&progress, &mut interrupted)?;
        }
        Ok(())
    }

    fn pass(
        &mut self,
        progress: &Progress,
        stop: &mut dyn FnMut() -> Option<Trouble>,
    ) -> Result<(), Trouble> {
        let Some(passes) = &mut self.passes else {
            return Ok(());
        };
        let pass = passes.pass(progress, stop)?;
        progress.finish();
        let (changed, sent) = pass
            .iter()
            .fold((0, 0), |sum, one| (sum.0 + one.changed, sum.1 + one.sent));
        self.all.push(pass);
        let (changed, sent) = (cli::size::human(changed), cli::size::human(sent));
        self.say(format_args!(
            "pass {}: {changed} in segments that changed, {sent} sent",
            self.all.len()
        ));
        Ok(())
    }

    pub(super) fn last_pass(&mut self) -> Result<(), Trouble> {
        self.wait_for_disks()?;
        let progress = Progress::start(self.args.progress(), "compared", None);
        let mut transfer = self.transfer.take();
        let mut stop = || {
            transfer
                .as_mut()
                .and_then(Transfer::failed)
                .or_else(interrupted)
        };
        let done = self.pass(&progress, &mut stop);
        self.transfer = transfer;
        done
    }

    /// The guest has stopped; what it had asked of its disks may still be under way.
    fn wait_for_disks(&self) -> Result<(), Trouble> {
        if self.inflight.is_empty() {
            return Ok(());
        }
        let files: Vec<String> = self.inflight.iter().map(|file| quoted(file)).collect();
        let until = Instant::now() + SETTLES;
        loop {
            let text = self
                .source
                .ask("inflight", &format!("cat -- {}", files.join(" ")))?;
            if text.split_whitespace().all(|number| number == "0") {
                return Ok(());
            }
            if Instant::now() >= until {
                return Err(Trouble::Failed("its disks do not come to rest".to_owned()));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The domain has moved: what of its volumes cannot be removed is told, and left.
    pub(super) fn remove_volumes(&self) -> Result<(), Error> {
        let remove = |copy: &Copied| {
            let path = quoted(&copy.source);
            let script =
                format!("if [ -b {path} ]; then lvremove -q -y -- {path}; else rm -- {path}; fi");
            self.source.ask(&copy.source, &script).err()
        };
        let troubles: Vec<String> = (self.plan.copied.iter())
            .filter(|copy| copy.writable)
            .filter_map(remove)
            .map(|trouble| trouble.to_string())
            .collect();
        match troubles.is_empty() {
            true => Ok(()),
            false => Err(Error::Behind(format!(
                "{}: moved, but: {}",
                self.args.domain,
                troubles.join("; ")
            ))),
        }
    }
}
