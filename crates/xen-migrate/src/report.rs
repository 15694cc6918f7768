//! What is printed: the plan, and what was done.

use crate::args::Args;
use crate::error::Error;
use crate::passes::{Pass, shown};
use crate::plan::{Mode, Plan};
use crate::toolstack;
use cli::output::Output;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write;
use std::time::Duration;

/// The plan of `--dry-run`.
pub(crate) fn plan(args: &Args, plan: &Plan) -> Result<(), Error> {
    if args.json {
        let copied = plan.copied.iter().map(|copy| {
            json!({
                "vdev": copy.vdev,
                "source": copy.source,
                "target": copy.target,
                "size": copy.size,
                "create": copy.create.is_some(),
            })
        });
        let kept = plan
            .kept
            .iter()
            .map(|(source, target, why)| json!({"source": source, "target": target, "why": why}));
        let object = json!({
            "domain": plan.domain.name,
            "uuid": plan.domain.uuid,
            "kind": plan.domain.kind.to_string(),
            "memory": plan.domain.memory_kib * 1024,
            "mode": plan.mode.name(),
            "host": args.host,
            "disks": copied.collect::<Vec<_>>(),
            "not_copied": kept.collect::<Vec<_>>(),
            "notes": plan.notes,
            "impossible": plan.against,
        });
        return print(&format!("{object}\n"));
    }
    let mut text = plan.text(&args.host);
    if plan.against.is_empty() {
        let reach = args.target();
        for copy in &plan.copied {
            let _ = writeln!(text, "run: {}", shown(copy, &reach, &args.blocksync()));
        }
        let _ = match plan.mode {
            Mode::Live => writeln!(
                text,
                "run: {}",
                toolstack::shown_migrate(plan.domain.id, &args.host)
            ),
            Mode::Save => writeln!(
                text,
                "run: {}",
                toolstack::shown_save(plan.domain.id, &args.host)
            ),
        };
    }
    print(&text)
}

/// What was done.
pub(crate) fn moved(
    args: &Args,
    plan: &Plan,
    passes: &[Vec<Pass>],
    pause: Option<Duration>,
) -> Result<(), Error> {
    let pause = pause.map_or(0.0, |pause| pause.as_secs_f64());
    if args.json {
        let one = |number: usize, pass: &Pass| {
            json!({
                "pass": number + 1,
                "vdev": pass.vdev,
                "changed": pass.changed,
                "sent": pass.sent,
                "seconds": pass.seconds,
            })
        };
        let all = passes
            .iter()
            .enumerate()
            .flat_map(|(number, pass)| pass.iter().map(move |disk| one(number, disk)));
        let all: Vec<Value> = all.collect();
        let object = json!({
            "domain": plan.domain.name,
            "host": args.host,
            "mode": plan.mode.name(),
            "passes": all,
            "paused_seconds": pause,
        });
        return print(&format!("{object}\n"));
    }
    if args.quiet {
        return Ok(());
    }
    let mut text = format!(
        "{:>4}  {:<8}  {:>10}  {:>10}  {:>8}  {:>12}\n",
        "pass", "disk", "changed", "sent", "seconds", "rate"
    );
    for (number, pass) in passes.iter().enumerate() {
        for disk in pass {
            let rate = (disk.sent as f64 / disk.seconds.max(0.001)) as u64;
            let _ = writeln!(
                text,
                "{:>4}  {:<8}  {:>10}  {:>10}  {:>8.1}  {:>10}/s",
                number + 1,
                disk.vdev,
                cli::size::human(disk.changed),
                cli::size::human(disk.sent),
                disk.seconds,
                cli::size::human(rate),
            );
        }
    }
    let _ = writeln!(
        text,
        "{}: moved to {}, paused for {pause:.1} s",
        plan.domain.name, args.host
    );
    print(&text)
}

/// Prints to standard output.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    let mut output = Output::stdout();
    let written = output
        .write_all(text.as_bytes())
        .and_then(|()| output.finish());
    written.map_err(|e| {
        if e.kind() == std::io::ErrorKind::BrokenPipe {
            cli::signal::end_by_sigpipe();
        }
        Error::Output(format!("standard output: {}", cli::diag::system_text(&e)))
    })
}
