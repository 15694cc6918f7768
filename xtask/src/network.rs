//! Two network namespaces with a cable between them and an ssh server at the far end, for
//! benchmarks: what goes over the wire is counted by the interface, and nothing else is on it.
//!
//! A shell stands by to take it all down. It does so when its standard input ends, so that a
//! benchmark that was killed leaves nothing behind either.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;
use crate::measure;
use crate::workspace::{find_program, is_root, run};

/// The address of the far end. No other network can be reached from there.
const ADDRESS: &str = "10.77.0.2";
/// The names of the far end for ssh.
pub(crate) const DIRECT: &str = "direct";
pub(crate) const DELAYED: &str = "delayed";
/// Where the ssh server listens, and the line with the delay that leads to it.
const PORTS: [u16; 2] = [2222, 2223];
/// Kills what runs in the namespaces and removes them.
const TAKE_DOWN: &str = "trap '' INT TERM HUP; read -r line; \
    for name; do ip netns pids \"$name\" 2>/dev/null | xargs -r kill 2>/dev/null; \
    ip netns del \"$name\" 2>/dev/null; done; :";
/// How long a server may take to start, or to end after its client.
const PATIENCE: Duration = Duration::from_secs(10);

/// The two ends.
pub(crate) struct Network {
    near: String,
    dir: PathBuf,
    sshd: Child,
    delay: Child,
    guardian: Child,
}

/// What was counted until now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counters {
    /// Bytes on the wire from the near end to the far one, and back.
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// CPU time of all that ran in sessions at the far end.
    pub(crate) far_cpu: Duration,
}

impl Network {
    /// Puts everything in `dir`, where commands at the far end run, too. For the file
    /// `ssh_config` there the far end is [`DIRECT`], or [`DELAYED`] with a round trip of 2 × `delay`.
    /// The error says why this cannot be done here.
    pub(crate) fn start(dir: &Path, binaries: &Path, delay: Duration) -> Result<Network> {
        if !is_root() {
            return Err("needs root".to_owned());
        }
        for program in ["ip", "ssh", "sshd", "ssh-keygen"] {
            if find_program(program).is_none() {
                return Err(format!("{program} is not installed"));
            }
        }
        let id = std::process::id();
        let [near, far] = ["near", "far"].map(|end| format!("blkutils-{id}-{end}"));
        let mut guardian = Command::new("sh");
        guardian.args(["-c", TAKE_DOWN, "sh", &near, &far]);
        guardian.stdin(Stdio::piped()).process_group(0);
        let guardian = Guardian(Some(guardian.spawn().map_err(|e| format!("sh: {e}"))?));
        for line in [
            format!("netns add {near}"),
            format!("netns add {far}"),
            format!("link add wire netns {near} type veth peer name wire netns {far}"),
            format!("-n {near} address add 10.77.0.1/24 dev wire"),
            format!("-n {far} address add {ADDRESS}/24 dev wire"),
            format!("-n {far} link set lo up"),
            format!("-n {near} link set wire up"),
            format!("-n {far} link set wire up"),
        ] {
            run(Command::new("ip").args(line.split(' ')))?;
        }
        configure(dir, binaries)?;
        let sshd = find_program("sshd").unwrap_or_default();
        let mut sshd = in_namespace(&far, sshd);
        sshd.arg("-D").arg("-f").arg(dir.join("sshd_config"));
        sshd.arg("-E").arg(dir.join("sshd.log"));
        let own = std::env::current_exe().map_err(|e| format!("own path: {e}"))?;
        let mut line = in_namespace(&far, own);
        let [direct, delayed] = PORTS.map(|port| format!("{ADDRESS}:{port}"));
        let delay = delay.as_millis().to_string();
        line.args(["bench-delay", &delayed, &direct, &delay]);
        let [sshd, delay] = [sshd, line].map(|mut command| {
            let command = command.stdin(Stdio::null()).stdout(Stdio::null());
            command.spawn().map_err(|e| format!("ip netns exec: {e}"))
        });
        let (sshd, delay) = (sshd?, delay?);
        let network = Network {
            near,
            dir: dir.to_path_buf(),
            sshd,
            delay,
            guardian: guardian.keep()?,
        };
        for port in PORTS {
            let listens = || network.listens(port);
            until(listens, &format!("nobody listens at port {port}"))?;
        }
        Ok(network)
    }

    /// A command at the near end.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        in_namespace(&self.near, program)
    }

    /// What was counted until now, once all sessions are over.
    pub(crate) fn counters(&self) -> Result<Counters> {
        let sshd = self.sshd.id().to_string();
        until(|| !has_children(&sshd), "a session at the far end goes on")?;
        // The view of the far end: what it received was sent by the near one.
        let path = format!("/proc/{sshd}/net/dev");
        let text = fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
        let line = text
            .lines()
            .find_map(|line| line.trim_start().strip_prefix("wire:"));
        let figures: Vec<u64> = numbers(line.unwrap_or_default());
        let ticks = stat(&sshd).unwrap_or_default();
        match (figures.get(..9), ticks.get(15..17)) {
            (Some(figures), Some(ticks)) => Ok(Counters {
                sent: figures[0],
                received: figures[8],
                // Of children that were waited for; Linux counts these in hundredths everywhere.
                far_cpu: Duration::from_millis(10 * (ticks[0] + ticks[1])),
            }),
            _ => Err("no counters of the ssh server".to_owned()),
        }
    }

    /// The greatest peak memory of a command at the far end since this was asked last, in bytes.
    pub(crate) fn far_peak(&self) -> u64 {
        let path = self.dir.join("served");
        let text = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(&path);
        numbers(&text).into_iter().max().unwrap_or(0)
    }

    fn listens(&self, port: u16) -> bool {
        let path = format!("/proc/{}/net/tcp", self.sshd.id());
        let text = fs::read_to_string(path).unwrap_or_default();
        let own = format!(":{port:04X}");
        text.lines().any(|line| {
            let mut words = line.split_whitespace().skip(1);
            words.next().is_some_and(|word| word.ends_with(&own)) && words.nth(1) == Some("0A")
        })
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        drop(self.guardian.stdin.take());
        for child in [&mut self.guardian, &mut self.sshd, &mut self.delay] {
            let _ = child.wait();
        }
    }
}

/// Ends the guardian, and so what it takes down, unless it is kept.
struct Guardian(Option<Child>);

impl Guardian {
    fn keep(mut self) -> Result<Child> {
        self.0.take().ok_or("no guardian".to_owned())
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // This closes its standard input first.
            let _ = child.wait();
        }
    }
}

/// Runs the command of an ssh session in a folder, and notes its peak memory there.
///
/// Started by the ssh server as `xtask bench-serve DIR BINARIES`.
pub(crate) fn serve(arguments: &[OsString]) -> Result {
    let [dir, binaries] = arguments else {
        return Err("needs DIR BINARIES".to_owned());
    };
    let line = std::env::var_os("SSH_ORIGINAL_COMMAND").unwrap_or_default();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = [PathBuf::from(binaries)];
    let folders = folders.into_iter().chain(std::env::split_paths(&path));
    let path = std::env::join_paths(folders).map_err(|e| e.to_string())?;
    let mut command = Command::new("sh");
    command.arg("-c").arg(line).env("PATH", path);
    let measured = measure::run(command.current_dir(dir))?;
    let record = Path::new(dir).join("served");
    let mut options = fs::File::options();
    let file = options.create(true).append(true).open(&record);
    file.and_then(|mut file| writeln!(file, "{}", measured.peak_memory))
        .map_err(|e| format!("{}: {e}", record.display()))?;
    match measured.status.success() {
        true => Ok(()),
        false => Err(measured.status.to_string()),
    }
}

/// Makes keys and the configurations of both ends.
fn configure(dir: &Path, binaries: &Path) -> Result {
    for key in ["host_key", "user_key"] {
        if dir.join(key).exists() {
            continue; // of the network that was here before
        }
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-t", "ed25519", "-N", "", "-f"]);
        run(command.arg(dir.join(key)))?;
    }
    let write = |name: &str, text: &str| {
        let path = dir.join(name);
        fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))
    };
    let own = std::env::current_exe().map_err(|e| format!("own path: {e}"))?;
    let quoted = |path: &Path| format!("'{}'", path.display());
    let [direct, delayed] = PORTS;
    let there = dir.display();
    let served = [own.as_path(), dir, binaries].map(quoted);
    let [own, folder, binaries] = served;
    let server = format!(
        "ListenAddress {ADDRESS}:{direct}\n\
        HostKey \"{there}/host_key\"\n\
        AuthorizedKeysFile \"{there}/user_key.pub\"\n\
        PidFile none\n\
        StrictModes no\n\
        UsePAM no\n\
        PasswordAuthentication no\n\
        KbdInteractiveAuthentication no\n\
        PermitRootLogin prohibit-password\n\
        ForceCommand exec {own} bench-serve {folder} {binaries}\n"
    );
    let client = format!(
        "Host {DIRECT}\n  Port {direct}\nHost {DELAYED}\n  Port {delayed}\nHost *\n\
        \x20 HostName {ADDRESS}\n\
        \x20 User root\n\
        \x20 IdentityFile \"{there}/user_key\"\n\
        \x20 IdentitiesOnly yes\n\
        \x20 StrictHostKeyChecking no\n\
        \x20 UserKnownHostsFile /dev/null\n\
        \x20 LogLevel ERROR\n\
        \x20 Ciphers aes128-gcm@openssh.com\n\
        \x20 Compression no\n"
    );
    write("sshd_config", &server)?;
    write("ssh_config", &client)?;
    // The server insists on this folder, which the service of the distribution makes.
    fs::create_dir_all("/run/sshd").map_err(|e| format!("/run/sshd: {e}"))
}

fn in_namespace(name: &str, program: impl AsRef<Path>) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", name]).arg(program.as_ref());
    command
}

/// Waits until something holds; an error when that takes too long.
fn until(holds: impl Fn() -> bool, otherwise: &str) -> Result {
    let start = Instant::now();
    while !holds() {
        if start.elapsed() > PATIENCE {
            return Err(otherwise.to_owned());
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// The numbers in /proc/PID/stat, each at its place in proc(5) less one; those before the parent are 0.
fn stat(process: &str) -> Option<Vec<u64>> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // Names may have parentheses in them, but nothing behind the name has.
    let (_, fields) = text.rsplit_once(") ")?;
    let (_, fields) = fields.split_once(' ')?;
    let fields = fields.split_whitespace();
    let fields = fields.map(|field| field.parse().unwrap_or(0));
    Some([0; 3].into_iter().chain(fields).collect())
}

fn has_children(process: &str) -> bool {
    let parent = process.parse().ok();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut names = entries.map(|entry| entry.file_name());
    names.any(|name| {
        let fields = name.to_str().and_then(stat);
        fields.is_some_and(|fields| fields.get(3).copied() == parent)
    })
}

fn numbers(text: &str) -> Vec<u64> {
    let words = text.split_whitespace();
    words.filter_map(|word| word.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_know_their_children() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let fields = stat(&child.id().to_string()).unwrap();
        assert_eq!(fields[3], u64::from(std::process::id()));
        assert!(has_children(&std::process::id().to_string()));
        assert!(!has_children(&child.id().to_string()));
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}
