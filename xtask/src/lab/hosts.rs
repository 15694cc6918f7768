//! The two hosts of the lab: started, asked and cleaned by the scripts of `tests/lab/xen`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Result;
use crate::workspace::{root, run as run_command};

/// A host: 1 or 2.
pub(super) type Host = u8;

/// The other one.
pub(super) fn other(host: Host) -> Host {
    3 - host
}

/// Both hosts. They are stopped when this is dropped, unless they shall stay.
pub(super) struct Hosts {
    scripts: PathBuf,
    /// Disks, logs and sockets of the running lab.
    state: PathBuf,
    keep: bool,
}

/// What a command at a host came to.
pub(super) struct Reply {
    /// 255 is also what ssh says when the connection is lost.
    pub(super) status: i32,
    pub(super) out: String,
    pub(super) err: String,
}

impl Reply {
    /// The last lines of both streams, for a message.
    pub(super) fn tail(&self) -> String {
        let text = format!("{}\n{}", self.out, self.err);
        let lines: Vec<&str> = text
            .split(['\n', '\r'])
            .filter(|l| !l.trim().is_empty())
            .collect();
        let last = &lines[lines.len().saturating_sub(12)..];
        format!("status {}: {}", self.status, last.join("\n    "))
    }
}

impl Hosts {
    /// Builds the lab if that has not been done, and starts the hosts.
    pub(super) fn start(keep: bool) -> Result<Hosts> {
        let scripts = root().join("tests/lab/xen");
        run_command(&mut Command::new(scripts.join("build")))?;
        let settings = format!(". '{}/settings'; echo \"$XENLAB_RUN\"", scripts.display());
        let output = Command::new("sh").args(["-c", &settings]).output();
        let output = output.map_err(|e| format!("sh: {e}"))?;
        let state = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let hosts = Hosts {
            scripts,
            state: PathBuf::from(state),
            keep,
        };
        run_command(&mut Command::new(hosts.scripts.join("up")))?;
        Ok(hosts)
    }

    /// Where the witnesses' ticks arrive.
    pub(super) fn serial_log(&self) -> PathBuf {
        self.state.join("serial1.log")
    }

    /// Puts a program on both hosts and tries it there.
    pub(super) fn install(&self, binary: &Path) -> Result {
        let name = binary.file_name().unwrap_or_default().to_string_lossy();
        for host in [1, 2] {
            let mut put = Command::new(self.scripts.join("put"));
            run_command(put.arg(host.to_string()).arg(binary).arg("/usr/local/bin"))?;
            let reply = self.ask(host, &format!("{name} --version"))?;
            if reply.status != 0 {
                return Err(format!(
                    "{name} does not run on the hosts, which are Debian 12 with glibc 2.36 ({}). \
                     Build on such a machine, or with CARGO_BUILD_TARGET=x86_64-unknown-linux-musl",
                    reply.tail()
                ));
            }
        }
        Ok(())
    }

    /// Runs a script at a host, whatever its status.
    pub(super) fn ask(&self, host: Host, script: &str) -> Result<Reply> {
        let mut command = Command::new(self.scripts.join("ssh"));
        command.arg(host.to_string()).arg(script);
        let output = command.stdin(Stdio::null()).output();
        let output = output.map_err(|e| format!("ssh: {e}"))?;
        Ok(Reply {
            status: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs a script at a host and returns its stdout; another status than 0 is an error.
    pub(super) fn sh(&self, host: Host, script: &str) -> Result<String> {
        let reply = self.ask(host, script)?;
        match reply.status {
            0 => Ok(reply.out),
            _ => Err(format!("host {host}: {script}: {}", reply.tail())),
        }
    }

    /// Asks again until the script succeeds.
    pub(super) fn wait(
        &self,
        host: Host,
        what: &str,
        script: &str,
        limit: Duration,
    ) -> Result<Reply> {
        let end = Instant::now() + limit;
        loop {
            let reply = self.ask(host, script)?;
            if reply.status == 0 {
                return Ok(reply);
            }
            if Instant::now() >= end {
                return Err(format!("host {host}: {what}: {}", reply.tail()));
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// Takes all guests, volumes, journals and processes of a case away.
    pub(super) fn clean(&self) -> Result {
        let script = "ip link set $(ls /sys/class/net/xenbr0/brif | grep ^e) up; \
            pkill -9 -x xen-migrate; pkill -9 -x blocksync; pkill -9 -x ssh; \
            xl list | tail -n +3 | while read -r name id rest; do xl destroy $id; done > /dev/null 2>&1; \
            for table in $(dmsetup ls --target error | cut -f1); do dmsetup resume $table; done > /dev/null 2>&1; \
            lvs --noheadings -o lv_name vg0 | while read -r name; do \
                [ $name = state ] || lvremove -qq -f -y vg0/$name > /dev/null 2>&1 || echo vg0/$name stays; done; \
            rm -rf /srv/xen/* /etc/xen/*.cfg /var/lib/xen-migrate/* /var/log/xen/console/guest-*";
        for host in [1, 2] {
            let said = self.sh(host, script)?;
            if !said.is_empty() {
                return Err(format!("host {host}: {}", said.trim()));
            }
        }
        Ok(())
    }

    /// Prints what a person wants to see when a case has failed.
    pub(super) fn show_state(&self) {
        for host in [1, 2] {
            let script = "xl list; head -n 50 /var/lib/xen-migrate/* 2> /dev/null; \
                ps -o pid,args -C xen-migrate,blocksync,xl,ssh; \
                tail -n 3 /var/log/xen/console/guest-* 2> /dev/null";
            match self.ask(host, script) {
                Ok(reply) => println!("host {host}:\n{}", reply.out),
                Err(e) => println!("host {host}: {e}"),
            }
        }
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        if self.keep {
            println!(
                "The hosts stay up: {0}/ssh 1, {0}/down",
                self.scripts.display()
            );
            return;
        }
        if let Err(e) = run_command(&mut Command::new(self.scripts.join("down"))) {
            eprintln!("xtask: {e}");
        }
    }
}

/// A number from the system, as a seed.
pub(super) fn random() -> u64 {
    use std::io::Read;
    let mut bytes = [0; 8];
    let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    read.map_or(1, |()| u64::from_le_bytes(bytes))
}
