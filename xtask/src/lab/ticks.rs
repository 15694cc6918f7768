//! What the witnesses say to the network: host 1 writes it to its serial line, whose log is here.
//!
//! Each line is stamped with our own clock when it arrives. The clocks inside count instructions and
//! say nothing about how long a person waits.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;

/// A witness has said `TICK: name number boot`.
#[derive(Clone)]
struct Tick {
    at: Instant,
    name: String,
    number: u64,
}

/// All ticks since this run began.
pub(super) struct Ticks(Arc<Mutex<Vec<Tick>>>);

/// How long a guest stood still.
pub(super) struct Pause {
    /// The longest time between two ticks.
    silence: Duration,
    /// The median time between two ticks before.
    pub(super) usual: Duration,
}

impl Pause {
    pub(super) fn seconds(&self) -> f64 {
        self.silence.saturating_sub(self.usual).as_secs_f64()
    }
}

impl Ticks {
    /// Follows a log in a thread of its own, for the rest of the process.
    pub(super) fn follow(path: &Path) -> Ticks {
        let ticks = Arc::new(Mutex::new(Vec::new()));
        let (sink, path) = (Arc::clone(&ticks), path.to_path_buf());
        thread::spawn(move || read(&path, &sink));
        Ticks(ticks)
    }

    fn of(&self, name: &str) -> Vec<Tick> {
        let all = self.0.lock().expect("the reader does not panic");
        all.iter()
            .filter(|tick| tick.name == name)
            .cloned()
            .collect()
    }

    /// The highest number that a guest has said; 0 if none.
    pub(super) fn last(&self, name: &str) -> u64 {
        self.of(name)
            .iter()
            .map(|tick| tick.number)
            .max()
            .unwrap_or(0)
    }

    /// Waits until a guest has said this number or a higher one.
    pub(super) fn wait(&self, name: &str, number: u64, limit: Duration) -> Result {
        let end = Instant::now() + limit;
        while self.last(name) < number {
            if Instant::now() >= end {
                let last = self.last(name);
                return Err(format!(
                    "{name}: no tick {number} within {} s; the last was {last}",
                    limit.as_secs()
                ));
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// The numbers that came, and those that came twice. Twice says it only who runs twice.
    pub(super) fn numbers(&self, name: &str) -> (BTreeSet<u64>, Vec<u64>) {
        let (mut seen, mut twice) = (BTreeSet::new(), Vec::new());
        for tick in self.of(name) {
            if !seen.insert(tick.number) {
                twice.push(tick.number);
            }
        }
        (seen, twice)
    }

    /// The pause of a guest in what happened since `from`.
    pub(super) fn pause(&self, name: &str, from: Instant) -> Option<Pause> {
        let ticks = self.of(name);
        let gaps = ticks
            .windows(2)
            .map(|pair| (pair[1].at, pair[1].at - pair[0].at));
        let (after, before): (Vec<_>, Vec<_>) = gaps.partition(|(at, _)| *at >= from);
        let silence = after.iter().map(|(_, gap)| *gap).max()?;
        let mut usual: Vec<Duration> = before.iter().map(|(_, gap)| *gap).collect();
        usual.sort();
        Some(Pause {
            silence,
            usual: *usual.get(usual.len() / 2)?,
        })
    }
}

fn read(path: &PathBuf, sink: &Mutex<Vec<Tick>>) {
    let Ok(mut file) = File::open(path) else {
        return;
    };
    // Lines of earlier runs would be stamped with the time of this one.
    let _ = file.seek(SeekFrom::End(0));
    let mut rest = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match file.read(&mut buffer) {
            Ok(0) | Err(_) => thread::sleep(Duration::from_millis(10)),
            Ok(length) => {
                let at = Instant::now();
                rest.extend_from_slice(&buffer[..length]);
                while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = rest.drain(..=end).collect();
                    if let Some(tick) = parse(&String::from_utf8_lossy(&line), at) {
                        sink.lock().expect("no reader panics").push(tick);
                    }
                }
            }
        }
    }
}

fn parse(line: &str, at: Instant) -> Option<Tick> {
    let (_, rest) = line.split_once("TICK: ")?;
    let mut words = rest.split_whitespace();
    Some(Tick {
        at,
        name: words.next()?.to_owned(),
        number: words.next()?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_silence_is_the_pause() {
        let start = Instant::now();
        let at = |tenths: u64| start + Duration::from_millis(tenths * 100);
        let tick = |number, tenths| {
            parse(
                &format!("<13>Nov 22 06:27:17 TICK: g1 {number} 3f2a\r\n"),
                at(tenths),
            )
            .unwrap()
        };
        let all = [(1, 0), (2, 10), (3, 20), (4, 80), (5, 91), (5, 92)];
        let list = all.map(|(number, tenths)| tick(number, tenths)).to_vec();
        let ticks = Ticks(Arc::new(Mutex::new(list)));
        let pause = ticks.pause("g1", at(21)).unwrap();
        assert_eq!(pause.silence, Duration::from_secs(6));
        assert_eq!(pause.seconds(), 5.0);
        assert_eq!(ticks.last("g1"), 5);
        assert_eq!(ticks.numbers("g1").1, [5]);
        assert!(ticks.pause("g2", start).is_none());
        assert!(parse("tick 4", start).is_none());
    }
}
