//! Scenarios in which the guest moves.

use std::time::Instant;

use super::guest::{Guest, Kind, PATIENCE};
use super::{Lab, Outcome};
use crate::Result;

/// There and back, as often as asked for, with one guest.
fn there_and_back(lab: &mut Lab, name: &str, kind: Kind, disks: &'static str, settings: &str) {
    let mut guest = None;
    for run in 1..=lab.runs {
        for way in ["there", "back"] {
            // A case cleans up behind itself; between ways the guest has to stay.
            let what = format!("{} {disks}, run {run}, {way}", kind.name());
            lab.case_of_many(&what, way == "back", |lab| {
                let mut one = match (way, guest.take()) {
                    ("there", _) => Guest::start_with(lab, name, kind, disks, settings, true)?,
                    (_, Some(one)) => one,
                    _ => return Err("it did not get there".to_owned()),
                };
                let outcome = one.moved(lab, "")?;
                guest = Some(one);
                Ok(outcome)
            });
        }
    }
}

pub(super) fn pv(lab: &mut Lab) -> Result {
    there_and_back(lab, "pv", Kind::Pv, "phy:16", "churn=0");
    Ok(())
}

pub(super) fn pvh(lab: &mut Lab) -> Result {
    there_and_back(lab, "pvh", Kind::Pvh, "phy:16", "churn=0");
    Ok(())
}

/// What xl says of shadow paging does not always hold.
pub(super) fn auto(lab: &mut Lab) -> Result {
    for kind in [Kind::Pv, Kind::Pvh] {
        lab.case(kind.name(), |lab| {
            Guest::start(lab, "auto", kind, "phy:16")?.moved(lab, "--mode=auto")
        });
    }
    Ok(())
}

pub(super) fn two_disks(lab: &mut Lab) -> Result {
    for kind in [Kind::Pv, Kind::Pvh] {
        there_and_back(lab, "two", kind, "phy:16,phy:24", "churn=2");
    }
    Ok(())
}

pub(super) fn file_disk(lab: &mut Lab) -> Result {
    there_and_back(lab, "file", Kind::Pv, "file:16", "churn=0");
    there_and_back(lab, "file", Kind::Pvh, "phy:16,file:16", "churn=0");
    Ok(())
}

pub(super) fn create(lab: &mut Lab) -> Result {
    for (kind, disks) in [(Kind::Pv, "phy:16,file:16"), (Kind::Pvh, "file:16,phy:16")] {
        lab.case(&format!("{} {disks}", kind.name()), |lab| {
            let mut guest = Guest::start_with(lab, "new", kind, disks, "churn=0", false)?;
            let refused = lab.hosts.ask(1, &guest.command(""))?;
            if refused.status != 3 {
                return Err(format!("without --create: {}", refused.tail()));
            }
            guest.well(lab)?;
            guest.moved(lab, "--create")
        });
    }
    Ok(())
}

pub(super) fn stale_cache(lab: &mut Lab) -> Result {
    lab.case("blocksync --session", |lab| {
        let guest = Guest::start_with(lab, "stale", Kind::Pv, "phy:16", "churn=1", true)?;
        let path = &guest.paths()[0];
        // The first pass puts what it reads into dom0's cache, if it reads through it; meanwhile and after
        // it the guest writes, past that cache. Then it stands still, so that both sides can be compared.
        let script = format!(
            "mkfifo /tmp/orders; \
             blocksync --session {path} xen2:{path} < /tmp/orders > /tmp/said 2>&1 & tool=$!; \
             exec 7> /tmp/orders; rm /tmp/orders; \
             until grep -q . /tmp/said; do kill -0 $tool || break; sleep 0.1; done; \
             cat {path} > /dev/null; sleep 6; xl pause {name}; sleep 1; \
             trap '' PIPE; echo again >&7; echo end >&7; exec 7>&-; \
             wait $tool; status=$?; cat /tmp/said; exit $status",
            name = guest.name
        );
        let said = lab.hosts.sh(1, &script)?;
        let written = lab.ticks.last(&guest.name);
        let [here, there] =
            [1, 2].map(|host| lab.hosts.sh(host, &format!("sectors {path} | md5sum")));
        if here? != there? {
            return Err(format!("the volumes differ after the second pass: {said}"));
        }
        lab.hosts.sh(1, &format!("xl unpause {}", guest.name))?;
        lab.ticks.wait(&guest.name, written + 3, PATIENCE)?;
        let last = said.lines().last().unwrap_or_default().trim().to_owned();
        Ok(Outcome {
            note: last,
            pause: None,
        })
    });
    Ok(())
}

pub(super) fn by_hand(lab: &mut Lab) -> Result {
    let mut naive = None;
    lab.case("save, sync, copy, restore", |lab| {
        let mut guest = Guest::start(lab, "hand", Kind::Pv, "phy:16")?;
        let (name, path) = (&guest.name, &guest.paths()[0]);
        lab.hosts
            .sh(1, &format!("blocksync -q {path} xen2:{path}"))?;
        let started = Instant::now();
        // What an administrator does, and the seed did.
        let script = format!(
            "set -e; xl save {name} /srv/image > /dev/null; blocksync -q {path} xen2:{path}; \
             scp -q /srv/image xen2:/srv/image; ssh xen2 'xl restore /srv/image' > /dev/null; \
             rm /srv/image; ssh xen2 rm /srv/image"
        );
        lab.hosts.sh(1, &script)?;
        guest.host = 2;
        guest.well(lab)?;
        guest.same_disks(lab, 1)?;
        let pause = lab.ticks.pause(&guest.name, started);
        naive = pause.as_ref().map(|pause| pause.seconds());
        Ok(Outcome {
            pause,
            note: String::new(),
        })
    });
    // What is below this, no transport of xl's can reach.
    lab.case("xl migrate alone, the disk left behind", |lab| {
        let guest = Guest::start(lab, "bare", Kind::Pvh, "phy:16")?;
        let started = Instant::now();
        let script = format!("xl migrate {} xen2 > /dev/null 2>&1", guest.name);
        lab.hosts.sh(1, &script)?;
        let last = lab.ticks.last(&guest.name);
        lab.ticks.wait(&guest.name, last + 3, PATIENCE)?;
        let pause = lab.ticks.pause(&guest.name, started);
        let ratio = pause
            .as_ref()
            .zip(naive)
            .map(|(pause, naive)| pause.seconds() / naive);
        Ok(Outcome {
            pause,
            note: ratio.map_or_else(String::new, |ratio| format!("{ratio:.2} of by hand")),
        })
    });
    for kind in [Kind::Pv, Kind::Pvh] {
        lab.case(&format!("xen-migrate, {}", kind.mode()), |lab| {
            let mut guest = Guest::start(lab, "tool", kind, "phy:16")?;
            let mut outcome = guest.moved(lab, "")?;
            if let (Some(naive), Some(pause)) = (naive, &outcome.pause) {
                let ratio = pause.seconds() / naive;
                outcome.note = format!("{ratio:.2} of by hand; {}", outcome.note);
            }
            Ok(outcome)
        });
    }
    Ok(())
}
