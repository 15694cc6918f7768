//! The roles: what a tool does that the checks look at.

use super::*;

pub(super) fn play(role: &str) -> i32 {
    let argument = std::env::var("CLI_ARG").unwrap_or_default();
    match role {
        "stop" => {
            signal::start("role").unwrap();
            say("ready");
            let stop = wait_for(signal::stop_requested);
            say(stop.as_str());
            signal::die_by(stop)
        }
        "stubborn" => {
            signal::start("role").unwrap();
            say("ready");
            wait_for(signal::stop_requested);
            say("seen");
            sleep(LIMIT);
            3
        }
        "status" => {
            signal::start("role").unwrap();
            let progress = Progress::start(Mode::Off, "copied", Some(4096));
            progress.add(1024);
            say("ready");
            wait_for_input();
            progress.finish();
            say("finished");
            wait_for_input();
            0
        }
        "write" => write(b"data\n"),
        "write-nothing" => write(b""),
        "flood" | "text-flood" => {
            if role == "text-flood" {
                signal::default_sigpipe();
            }
            wait_for(|| Some(write(b"data\n")).filter(|code| *code != 0))
        }
        "diagnose" => {
            diag::report("role", "nobody hears");
            diag::usage("role", "nobody hears");
            7
        }
        "front" => {
            signal::default_sigpipe();
            let mode = progress::mode(Some(OsStr::new("5"))).unwrap();
            let progress = Progress::start(mode, "copied", Some(30));
            progress.add(30);
            progress.finish();
            0
        }
        "crowded" => {
            let mode = progress::mode(Some(OsStr::new("1"))).unwrap();
            let progress = Progress::start(mode, "copied", Some(30));
            progress.add(30);
            sleep(Duration::from_millis(250));
            progress.finish();
            0
        }
        "work" => {
            signal::start("role").unwrap();
            let (mode, millis) = argument.split_once(' ').unwrap();
            let mode = if mode == "auto" {
                Mode::Auto
            } else {
                Mode::Always
            };
            let progress = Progress::start(mode, "copied", Some(100));
            let end = Instant::now() + Duration::from_millis(millis.parse().unwrap());
            while Instant::now() < end {
                progress.set(50);
                sleep(Duration::from_millis(10));
            }
            if signal::stop_requested().is_none() {
                diag::report("role", "a\nnote");
                progress.set(100);
                sleep(Duration::from_millis(150));
            }
            progress.finish();
            0
        }
        "work-until-stopped" => {
            signal::start("role").unwrap();
            let _progress = Progress::start(Mode::Always, "copied", None);
            signal::die_by(wait_for(signal::stop_requested))
        }
        _ => 3,
    }
}

fn say(line: &str) {
    let mut output = Output::stdout();
    writeln!(output, "{line}").unwrap();
    output.finish().unwrap();
}

fn wait_for<T>(condition: impl Fn() -> Option<T>) -> T {
    let end = Instant::now() + LIMIT;
    while Instant::now() < end {
        if let Some(value) = condition() {
            return value;
        }
        sleep(Duration::from_millis(1));
    }
    std::process::exit(3)
}

fn wait_for_input() {
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

fn write(data: &[u8]) -> i32 {
    let mut output = Output::stdout();
    match output.write_all(data).and_then(|()| output.finish()) {
        Ok(()) => 0,
        Err(error) => {
            diag::report(
                "role",
                format_args!("standard output: {}", diag::system_text(&error)),
            );
            1
        }
    }
}
