//! A connection whose bytes go through the test.

use super::*;

/// What happens to the bytes of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// The bit of the byte at an offset is turned over.
    Flip(u64, u8),
    /// The stream ends at an offset.
    Cut(u64),
    /// Nothing more comes from an offset on.
    Stall(u64),
}

/// A connection whose bytes go through the test. The script `by` of the folder is its end at the
/// client; the server is started by the test.
pub(super) struct Proxy {
    threads: Vec<std::thread::JoinHandle<()>>,
    server: Arc<Mutex<Option<u32>>>,
    /// Bytes that came from the client, and from the server.
    passed: [Arc<AtomicU64>; 2],
    status: Arc<Mutex<Option<i32>>>,
}

impl Proxy {
    pub(super) fn start(dir: &Dir, up: Fault, down: Fault) -> Proxy {
        let fifos = ["up", "down"].map(|name| dir.path(name));
        for fifo in &fifos {
            let _ = fs::remove_file(fifo);
            nix::unistd::mkfifo(fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        }
        dir.script("by", "cat <down &\nexec cat >up\n");
        let server = Arc::new(Mutex::new(None));
        let status = Arc::new(Mutex::new(None));
        let passed = [Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0))];
        let (pid, ended, counts) = (Arc::clone(&server), Arc::clone(&status), passed.clone());
        let folder = dir.0.path().to_path_buf();
        let main = std::thread::spawn(move || {
            let mut child = tool()
                .current_dir(folder)
                .args(["server", "--timeout=20"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            *pid.lock().unwrap() = Some(child.id());
            let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
            let [up_path, down_path] = fifos;
            let [up_count, down_count] = counts;
            let upward = std::thread::spawn(move || {
                pass(File::open(up_path).unwrap(), input, up, &up_count);
            });
            let to_client = File::options().write(true).open(down_path).unwrap();
            pass(output, to_client, down, &down_count);
            upward.join().unwrap();
            *ended.lock().unwrap() = child.wait().unwrap().code();
        });
        Proxy {
            threads: vec![main],
            server,
            passed,
            status,
        }
    }

    /// Waits until both ends are gone; returns the exit status of the server.
    pub(super) fn finish(self) -> Option<i32> {
        for thread in self.threads {
            thread.join().unwrap();
        }
        *self.status.lock().unwrap()
    }

    pub(super) fn server(&self) -> u32 {
        poll("the server", || self.server.lock().unwrap().is_some());
        self.server.lock().unwrap().unwrap()
    }

    pub(super) fn passed(&self) -> [u64; 2] {
        [0, 1].map(|side: usize| self.passed[side].load(Ordering::Relaxed))
    }
}

fn pass(mut from: impl Read, to: impl Write, fault: Fault, count: &AtomicU64) {
    let mut to = Some(to);
    let mut buffer = vec![0; 64 << 10];
    let mut at = 0;
    while let Ok(got) = from.read(&mut buffer) {
        if got == 0 {
            return;
        }
        let mut bytes = &mut buffer[..got];
        match fault {
            Fault::Flip(offset, bit) if (at..at + got as u64).contains(&offset) => {
                bytes[(offset - at) as usize] ^= 1 << bit;
            }
            Fault::Cut(offset) | Fault::Stall(offset) if offset < at + got as u64 => {
                bytes = &mut bytes[..offset.saturating_sub(at) as usize];
            }
            _ => {}
        }
        at += got as u64;
        if to
            .as_mut()
            .is_some_and(|to| to.write_all(bytes).and_then(|()| to.flush()).is_err())
        {
            return;
        }
        count.store(at, Ordering::Relaxed);
        // After a cut the rest is read and thrown away, or nobody could tell a cut from a stall.
        if matches!(fault, Fault::Cut(offset) if at > offset) {
            to = None;
        }
    }
}

/// Runs a session through a proxy; its result, that of the server, and the bytes of both ways.
pub(super) fn through(
    dir: &Dir,
    args: &[&str],
    up: Fault,
    down: Fault,
) -> (Ran, Option<i32>, [u64; 2]) {
    let proxy = Proxy::start(dir, up, down);
    let ran = run(dir.tool_by("by").args(args));
    let passed = [Arc::clone(&proxy.passed[0]), Arc::clone(&proxy.passed[1])];
    let status = proxy.finish();
    (
        ran,
        status,
        passed.map(|count| count.load(Ordering::Relaxed)),
    )
}
