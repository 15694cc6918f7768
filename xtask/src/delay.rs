//! A line with a delay: passes TCP connections on, each byte some time after it came. `bench` runs it
//! as `xtask bench-delay LISTEN TARGET MILLISECONDS` in a network namespace.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;

/// Bytes that are read at once.
const CHUNK: usize = 64 << 10;
/// Chunks on the way: what a line of this delay would hold at 1 GB/s and more.
const ON_THE_WAY: usize = 1024;

/// Bytes and when they arrive.
type Chunk = (Instant, Vec<u8>);

/// Serves until it is killed. The delay is that of one direction.
pub(crate) fn run(arguments: &[OsString]) -> Result {
    let words: Vec<&str> = arguments.iter().filter_map(|word| word.to_str()).collect();
    let [listen, target, milliseconds] = words[..] else {
        return Err("needs LISTEN TARGET MILLISECONDS".to_owned());
    };
    let delay = milliseconds
        .parse()
        .map(Duration::from_millis)
        .map_err(|e| format!("{milliseconds}: {e}"))?;
    let listener = TcpListener::bind(listen).map_err(|e| format!("{listen}: {e}"))?;
    for near in listener.incoming() {
        let near = near.map_err(|e| format!("{listen}: {e}"))?;
        let far = TcpStream::connect(target).map_err(|e| format!("{target}: {e}"))?;
        pass_on(&near, &far, delay).map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// Starts the threads of a connection: two each way.
fn pass_on(near: &TcpStream, far: &TcpStream, delay: Duration) -> std::io::Result<()> {
    for (from, to) in [(near, far), (far, near)] {
        to.set_nodelay(true)?;
        let (from, to) = (from.try_clone()?, to.try_clone()?);
        let (queue, chunks) = sync_channel(ON_THE_WAY);
        thread::spawn(move || take(from, delay, &queue));
        thread::spawn(move || give(to, &chunks));
    }
    Ok(())
}

fn take(mut from: TcpStream, delay: Duration, queue: &SyncSender<Chunk>) {
    let mut buffer = vec![0; CHUNK];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let chunk = (Instant::now() + delay, buffer[..length].to_vec());
        if queue.send(chunk).is_err() {
            break;
        }
    }
}

fn give(mut to: TcpStream, chunks: &Receiver<Chunk>) {
    for (due, bytes) in chunks {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if to.write_all(&bytes).is_err() {
            // The other direction ends by this too.
            let _ = to.shutdown(Shutdown::Both);
            return;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_arrive_late_and_ends_are_passed_on() {
        let near = TcpListener::bind("127.0.0.1:0").unwrap();
        let far = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(near.local_addr().unwrap()).unwrap();
        let onward = TcpStream::connect(far.local_addr().unwrap()).unwrap();
        let mut server = far.accept().unwrap().0;
        let (start, delay) = (Instant::now(), Duration::from_millis(30));
        pass_on(&near.accept().unwrap().0, &onward, delay).unwrap();
        drop(onward);
        client.write_all(&[7; 200_000]).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut text = Vec::new();
        server.read_to_end(&mut text).unwrap();
        assert_eq!(text, [7; 200_000]);
        assert!(start.elapsed() >= delay);
        server.write_all(b"answer").unwrap();
        drop(server);
        text.clear();
        client.read_to_end(&mut text).unwrap();
        assert_eq!(text, b"answer");
        assert!(start.elapsed() >= 2 * delay);
    }
}
