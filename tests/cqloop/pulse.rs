//! A card with a clock: a null sink of a private PulseAudio.

use super::*;

/// A private PulseAudio with a null sink, ended when it is dropped.
pub(super) struct Pulse {
    server: Child,
    runtime: TempDir,
}

impl Pulse {
    pub(super) fn start(test: &str) -> Option<Pulse> {
        if !can(test, false, &["pulseaudio", "parec", "pactl"]) {
            return None;
        }
        let runtime = tempfile::tempdir().unwrap();
        let sink = "module-null-sink sink_name=n rate=48000 channels=2 format=s16le";
        let mut command = command("pulseaudio");
        command
            .args([
                "-n",
                "--daemonize=no",
                "--exit-idle-time=-1",
                "--disable-shm=yes",
            ])
            .args([
                "-L",
                sink,
                "-L",
                "module-native-protocol-unix auth-anonymous=1",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let server = Pulse::env(&mut command, runtime.path()).spawn().unwrap();
        let pulse = Pulse { server, runtime };
        until("PulseAudio answers", || {
            run(&mut pulse.command("pactl", &["info"])).code == 0
        });
        let desk = Desk::new();
        desk.wav16("probe.wav", RATE, 1, &[0; 100]);
        let probe = run(pulse.on(&desk).args(["-c1", "probe.wav"]));
        if probe.code != 0 {
            skipped(
                test,
                &format!("ALSA's plugin for PulseAudio: {}", probe.stderr.trim()),
            );
            return None;
        }
        Some(pulse)
    }

    fn env<'a>(command: &'a mut Command, runtime: &Path) -> &'a mut Command {
        command
            .env("PULSE_RUNTIME_PATH", runtime)
            .env("HOME", runtime)
            .env("TMPDIR", runtime)
            .env_remove("PULSE_SERVER")
    }

    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = command(program);
        Pulse::env(&mut command, self.runtime.path()).args(args);
        command
    }

    /// cqloop that plays to the null sink.
    pub(super) fn on(&self, desk: &Desk) -> Command {
        let mut command = desk.cqloop();
        Pulse::env(&mut command, self.runtime.path()).args(["-D", "pulse"]);
        command
    }

    /// Records what the sink plays from now on.
    pub(super) fn hear(&self, file: &Path) -> Child {
        let format = ["--raw", "--format=s16le", "--rate=48000", "--channels=2"];
        let mut recorder = self.command("parec", &["--latency-msec=20", "-d", "n.monitor"]);
        let child = recorder
            .args(format)
            .stdout(File::create(file).unwrap())
            .spawn()
            .unwrap();
        until("the monitor is heard", || {
            fs::metadata(file).unwrap().len() > 0
        });
        child
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// What it is told while a call to the server hangs it obeys nevertheless.
#[test]
fn a_sound_server_that_hangs_does_not_hold_up_the_end() {
    let desk = Desk::new();
    let Some(pulse) = Pulse::start("a_sound_server_that_hangs") else {
        return;
    };
    desk.wav16("cq.wav", RATE, 1, &noise(60 * RATE));
    let port = Port::make(&desk);
    let start = |log: &str| {
        let mut command = pulse.on(&desk);
        port.attach(&mut command);
        let log = format!("--log={log}");
        let piped = command.args([&log, "cq.wav"]).stderr(Stdio::piped());
        piped.spawn().unwrap()
    };
    let server = nix::unistd::Pid::from_raw(pulse.server.id().cast_signed());
    let child = start("log");
    until("it is keyed", || port.is_up());
    kill(server, Signal::SIGSTOP).unwrap();
    until("the guardian or the player has released it", || {
        !port.is_up()
    });
    send(&child, Signal::SIGTERM);
    assert_eq!(ended(child), 143);

    // It cannot even be asked for a stream.
    let child = start("second");
    until("it has begun", || desk.path("second").exists());
    std::thread::sleep(Duration::from_millis(300));
    send(&child, Signal::SIGINT);
    assert_eq!(ended(child), 130);
    assert!(!port.is_up());
}
