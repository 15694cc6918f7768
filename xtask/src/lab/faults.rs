//! Scenarios in which something fails. The promise is always the same: one running copy, at once or after
//! `--recover`, with all it ever wrote; and nothing left behind.

use std::time::{Duration, Instant};

use super::guest::{Guest, Kind, PATIENCE};
use super::hosts::{Reply, random as seed};
use super::{Lab, Outcome};
use crate::Result;

/// The marks of xen-migrate's journal, each written before what it names is begun.
const MARKS: [&str; 6] = [
    "planned",
    "presynced",
    "suspended",
    "disks-final",
    "target-built",
    "committed",
];

/// Names the card of a host that leads to the other.
const CARD: &str = "card=$(ls /sys/class/net/xenbr0/brif | grep ^e)";

/// Runs a migration in the background of host 1 and a fault when `when` succeeds there. The output is the
/// tool's; its status is 137 when the fault was to kill it, and 99 if the moment never came.
fn with_fault(lab: &Lab, guest: &Guest, when: &str, fault: &str) -> Result<Faulted> {
    // What goes on in the background must not hold the connection.
    let script = format!(
        "{command} > /tmp/out 2> /tmp/err < /dev/null & tool=$!; came=no; \
         while kill -0 $tool 2> /dev/null; do \
             if {when}; then came=yes; {fault}\nbreak; fi; sleep 0.02; done; \
         (sleep 600; kill -9 $tool) > /dev/null 2>&1 < /dev/null & guard=$!; \
         wait $tool 2> /dev/null; status=$?; kill $guard; cat /tmp/out; cat /tmp/err >&2; \
         [ $came = yes ] || {{ echo \"the moment never came; status $status\" >&2; status=99; }}; exit $status",
        command = guest.command("")
    );
    let since = Instant::now();
    let reply = lab.hosts.ask(1, &script)?;
    Ok(Faulted { reply, since })
}

/// A migration that something happened to.
struct Faulted {
    reply: Reply,
    since: Instant,
}

/// A condition: the journal has this mark.
fn marked(guest: &Guest, mark: &str) -> String {
    format!(
        "grep -qsx 'mark {mark}' /var/lib/xen-migrate/{}.journal",
        guest.name
    )
}

/// Looks where the guest is after a fault, recovers if the tool has to, and checks the promise.
fn settle(lab: &Lab, guest: &mut Guest, fault: &Faulted) -> Result<Outcome> {
    let reply = &fault.reply;
    if reply.status == 99 {
        return Err(reply.tail());
    }
    let mut note = match reply.status {
        137 => "killed".to_owned(),
        status => format!("status {status}"),
    };
    // Others say that it did not even try, or are those of a broken script.
    if !matches!(reply.status, 0 | 1 | 4 | 137) {
        return Err(format!("{note}: {}", reply.tail()));
    }
    // 0 and 1 say that nothing is left to do, and are held to it.
    if !matches!(reply.status, 0 | 1) {
        let limit = Instant::now() + PATIENCE;
        loop {
            let command = format!("timeout -k 9 300 xen-migrate -v --recover {}", guest.name);
            let again = lab.hosts.ask(1, &command)?;
            note += &format!(", recover {}", again.status);
            match again.status {
                0 => break,
                // It runs nowhere.
                1 => return Err(format!("{note}: {}", again.tail())),
                _ if Instant::now() < limit => std::thread::sleep(Duration::from_secs(5)),
                _ => {
                    return Err(format!(
                        "{note}: {}\n  before: {}",
                        again.tail(),
                        reply.tail()
                    ));
                }
            }
        }
    }
    guest.host = match lab
        .hosts
        .ask(2, &format!("xl domid {} > /dev/null 2>&1", guest.name))?
        .status
    {
        0 => 2,
        _ => 1,
    };
    if (reply.status == 0 && guest.host == 1) || (reply.status == 1 && guest.host == 2) {
        return Err(format!(
            "it is at host {}, and the tool said otherwise: {}",
            guest.host,
            reply.tail()
        ));
    }
    let checked = guest.well(lab).and_then(|()| match guest.host {
        2 => guest.same_disks(lab, 1),
        _ => Ok(()),
    });
    checked.map_err(|e| format!("{note}: {e}\n  tool: {}", reply.tail()))?;
    Ok(Outcome {
        note: format!("{note}: at host {}", guest.host),
        pause: lab.ticks.pause(&guest.name, fault.since),
    })
}

/// One fault, for both kinds of guests, at each mark.
fn at_each_mark(lab: &mut Lab, fault: &str) {
    for kind in [Kind::Pv, Kind::Pvh] {
        for mark in MARKS {
            for _ in 0..lab.runs {
                lab.case(&format!("{}, at {mark}", kind.mode()), |lab| {
                    let mut guest = Guest::start(lab, "fault", kind, "phy:16")?;
                    let fault = with_fault(lab, &guest, &marked(&guest, mark), fault)?;
                    settle(lab, &mut guest, &fault)
                });
            }
        }
    }
}

pub(super) fn kill(lab: &mut Lab) -> Result {
    at_each_mark(lab, "kill -9 $tool");
    Ok(())
}

pub(super) fn cut(lab: &mut Lab) -> Result {
    at_each_mark(lab, "pkill -9 -x ssh");
    Ok(())
}

pub(super) fn small_target(lab: &mut Lab) -> Result {
    for kind in [Kind::Pv, Kind::Pvh] {
        lab.case(kind.mode(), |lab| {
            let guest = Guest::start_with(lab, "small", kind, "phy:16", "churn=0", false)?;
            let name = &guest.name;
            let make =
                format!("lvcreate -qq -y -W n -Z n -n {name} -L 12m vg0; md5sum /dev/vg0/{name}");
            let before = lab.hosts.sh(2, &make)?;
            let reply = lab.hosts.ask(1, &guest.command(""))?;
            if reply.status != 3 {
                return Err(format!("not refused with status 3: {}", reply.tail()));
            }
            if lab.hosts.sh(2, &format!("md5sum /dev/vg0/{name}"))? != before {
                return Err("the target's volume was written to".to_owned());
            }
            guest.well(lab)?;
            Ok(Outcome::default())
        });
    }
    Ok(())
}

pub(super) fn last_pass(lab: &mut Lab) -> Result {
    for kind in [Kind::Pv, Kind::Pvh] {
        lab.case(kind.mode(), |lab| {
            let mut guest =
                Guest::start_with(lab, "error", kind, "phy:16", "churn=1", true)?;
            // From the suspension on every access to the target's volume fails.
            let table = format!("vg0-{}", guest.name.replace('-', "--"));
            let fault = format!(
                "ssh xen2 \"dmsetup suspend --noflush {table}; dmsetup load {table} --table '0 32768 error'; dmsetup resume {table}\""
            );
            let fault = with_fault(lab, &guest, &marked(&guest, "suspended"), &fault)?;
            if fault.reply.status != 1 {
                return Err(format!("status is not 1: {}", fault.reply.tail()));
            }
            settle(lab, &mut guest, &fault)
        });
    }
    Ok(())
}

/// The tool must end, and tell the truth, while the other host does not answer; and set things right when
/// it answers again.
pub(super) fn unplug(lab: &mut Lab) -> Result {
    for kind in [Kind::Pv, Kind::Pvh] {
        for mark in ["presynced", "suspended", "committed"] {
            lab.case(&format!("{}, at {mark}", kind.mode()), |lab| {
                let mut guest = Guest::start(lab, "plug", kind, "phy:16")?;
                // Not the bridge: the guest shall be heard at host 1.
                let fault = format!("{CARD}; ip link set $card down; (sleep 120; ip link set $card up) > /dev/null 2>&1 &");
                let fault = with_fault(lab, &guest, &marked(&guest, mark), &fault)?;
                lab.hosts.sh(1, &format!("{CARD}; ip link set $card up; sleep 1"))?;
                settle(lab, &mut guest, &fault)
            });
        }
    }
    Ok(())
}

pub(super) fn random(lab: &mut Lab) -> Result {
    if lab.seed == 0 {
        lab.seed = seed();
    }
    println!("--seed={}", lab.seed);
    let mut state = lab.seed;
    // xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators".
    let mut next = move |below: u64| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % below
    };
    for _ in 0..lab.runs {
        let kind = [Kind::Pv, Kind::Pvh][next(2) as usize];
        let (word, fault) = [
            ("kill", "kill -9 $tool"),
            ("cut", "pkill -9 -x ssh"),
            (
                "kill all",
                "pkill -9 -x xen-migrate; pkill -9 -x blocksync; pkill -9 -x ssh",
            ),
        ][next(3) as usize];
        let tenths = next(600);
        let what = format!(
            "{}, {word} after {}.{} s",
            kind.mode(),
            tenths / 10,
            tenths % 10
        );
        lab.case(&what, |lab| {
            let mut guest = Guest::start_with(lab, "any", kind, "phy:16", "churn=1", true)?;
            let moment = format!(
                "now=${{EPOCHREALTIME/./}}; : ${{begin:=$now}}; [ $((now - begin)) -ge {tenths}00000 ]"
            );
            let mut fault = with_fault(lab, &guest, &moment, fault)?;
            if fault.reply.status == 99 {
                // It had ended before.
                fault.reply.status = match fault.reply.err.contains("status 0") {
                    true => 0,
                    false => 1,
                };
            }
            settle(lab, &mut guest, &fault)
        });
    }
    Ok(())
}
