//! What the radio lab has seen from outside: QEMU's trace and its USB packets, as one timeline.
//!
//! All times are the host's clock. Modem lines: an FTDI port gets the vendor request
//! SIO_SET_MODEM_CTRL (request type 0x40, request 1; value bit 0 DTR, bit 1 RTS, bits 8 and 9 which of
//! them counts); a 16550A has its modem control register at offset 4 (bit 0 DTR, bit 1 RTS). Sound is
//! in the isochronous packets, in the format of usbmon (Documentation/usb/usbmon.rst).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::Result;

/// Bytes of a frame: two channels of 16 bits.
const FRAME: usize = 4;
const RATE: usize = 48_000;

/// Packets further apart than this belong to two streams, in ms.
const STREAM_GAP: f64 = 250.0;

/// Silence of so many frames within a stream parts two sounds.
const SOUND_GAP: usize = RATE / 5;

/// What has happened, in ms since the script began.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) ms: f64,
    pub(crate) what: What,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum What {
    /// A line of a port has moved: its name, the line, whether it is up.
    Line(String, Line, bool),
    /// The script has called `lab_mark`.
    Mark(String),
    /// Packets go to the sound card.
    Stream(bool),
    /// They are not silence.
    Sound(bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Line {
    Dtr,
    Rts,
}

/// All of one run.
#[derive(Debug)]
pub(crate) struct Timeline {
    pub(crate) events: Vec<Event>,
    /// What the sound card was given: 48 kHz, two channels, 16 bits.
    pub(crate) samples: Vec<u8>,
    /// The streams: start and end in ms, frames.
    pub(crate) streams: Vec<(f64, f64, usize)>,
}

impl Timeline {
    /// Reads the results of a run.
    pub(crate) fn read(out: &Path) -> Result<Timeline> {
        let file = |name: &str| {
            let path = out.join(name);
            fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))
        };
        let trace = file("trace.log")?;
        let marks = file("marks")?;
        let mut events = trace_events(
            &String::from_utf8_lossy(&trace),
            &String::from_utf8_lossy(&marks),
        );
        let pcap = file("audio.pcap").unwrap_or_default();
        let packets = packets(&pcap);
        let streams = streams(&packets);
        for stream in &streams {
            let ends = [(stream.start, true), (stream.end, false)];
            events.extend(ends.map(|(ms, on)| Event {
                ms,
                what: What::Stream(on),
            }));
            for (from, to) in &stream.sounds {
                let ends = [(*from, true), (*to, false)];
                events.extend(ends.map(|(ms, on)| Event {
                    ms,
                    what: What::Sound(on),
                }));
            }
        }
        let start = events
            .iter()
            .find(|event| event.what == What::Mark("start".to_owned()))
            .ok_or("the script has not begun")?
            .ms;
        for event in &mut events {
            event.ms -= start;
        }
        events.sort_by(|a, b| a.ms.total_cmp(&b.ms));
        Ok(Timeline {
            events,
            samples: packets.iter().flat_map(|p| p.data).copied().collect(),
            streams: streams
                .iter()
                .map(|s| (s.start - start, s.end - start, s.bytes / FRAME))
                .collect(),
        })
    }

    /// Writes `timeline.txt`, `audio.txt` and `played.wav` beside what it was read from.
    pub(crate) fn write(&self, out: &Path) -> Result {
        let mut text = String::new();
        for event in &self.events {
            let _ = writeln!(text, "{}", event.show());
        }
        let mut audio = String::new();
        for (start, end, frames) in &self.streams {
            let ms = *frames as f64 * 1000.0 / RATE as f64;
            let _ = writeln!(
                audio,
                "stream {start:.1}..{end:.1} ms, {frames} frames = {ms:.1} ms"
            );
        }
        let put = |name: &str, bytes: &[u8]| {
            let path = out.join(name);
            fs::write(&path, bytes).map_err(|e| format!("{}: {e}", path.display()))
        };
        put("timeline.txt", text.as_bytes())?;
        put("audio.txt", audio.as_bytes())?;
        put("played.wav", &wav(&self.samples))
    }
}

impl Event {
    fn show(&self) -> String {
        let on = |on: &bool| u8::from(*on);
        let what = match &self.what {
            What::Line(port, Line::Dtr, up) => format!("{port} DTR {}", on(up)),
            What::Line(port, Line::Rts, up) => format!("{port} RTS {}", on(up)),
            What::Mark(text) => format!("LAB MARK {text}"),
            What::Stream(up) => format!("AUDIO STREAM {}", on(up)),
            What::Sound(up) => format!("AUDIO SOUND {}", on(up)),
        };
        format!("{:.1} {what}", self.ms)
    }
}

/// A WAV file of samples as the lab's card takes them.
pub(crate) fn wav(samples: &[u8]) -> Vec<u8> {
    let mut file = Vec::with_capacity(44 + samples.len());
    file.extend(b"RIFF");
    file.extend((36 + samples.len() as u32).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x02\0");
    file.extend((RATE as u32).to_le_bytes());
    file.extend(((RATE * FRAME) as u32).to_le_bytes());
    file.extend(b"\x04\0\x10\0data");
    file.extend((samples.len() as u32).to_le_bytes());
    file.extend(samples);
    file
}

/// Lines such as `15250@1795326680.506458:usb_serial_handle_control dev 0:1 got control 0x4001, value
/// 0x303`; the marks' texts are in a file of their own, one after the other, and the trace has their
/// lengths. Times are in ms since the epoch.
fn trace_events(trace: &str, marks: &str) -> Vec<Event> {
    let mut events = Vec::new();
    let mut marks = marks;
    // Ports are told apart by their USB addresses, which are given out in the order of the ports.
    let mut names: BTreeMap<u64, String> = BTreeMap::new();
    let mut up: BTreeMap<(u64, Line), bool> = BTreeMap::new();
    let mut lines: Vec<(f64, u64, Line, bool)> = Vec::new();
    const UART: u64 = u64::MAX;
    for line in trace.lines() {
        let Some((ms, name, rest)) = split(line) else {
            continue;
        };
        let numbers = numbers(rest);
        let mut moved = |port, line, is_up| {
            if up.insert((port, line), is_up) != Some(is_up) {
                lines.push((ms, port, line, is_up));
            }
        };
        match (name, &numbers[..]) {
            ("virtio_console_flush_buf", [2, length, ..]) if *length > 0 => {
                let length = (*length as usize).min(marks.len());
                let (mark, rest) = marks.split_at(length);
                marks = rest;
                events.push(Event {
                    ms,
                    what: What::Mark(mark.to_owned()),
                });
            }
            ("serial_write", [4, value, ..]) => {
                moved(UART, Line::Dtr, value & 1 != 0);
                moved(UART, Line::Rts, value & 2 != 0);
            }
            ("usb_serial_handle_control", [_, address, 0x4001, value, ..]) => {
                names.entry(*address).or_default();
                if value & 0x100 != 0 {
                    moved(*address, Line::Dtr, value & 1 != 0);
                }
                if value & 0x200 != 0 {
                    moved(*address, Line::Rts, value & 2 != 0);
                }
            }
            _ => {}
        }
    }
    for (index, name) in names.values_mut().enumerate() {
        *name = format!("ttyUSB{index}");
    }
    names.insert(UART, "ttyS0".to_owned());
    events.extend(lines.into_iter().map(|(ms, port, line, is_up)| {
        let port = names[&port].clone();
        Event {
            ms,
            what: What::Line(port, line, is_up),
        }
    }));
    events
}

/// Time in ms, name of the trace point, and what follows.
fn split(line: &str) -> Option<(f64, &str, &str)> {
    let (_, rest) = line.split_once('@')?;
    let (seconds, rest) = rest.split_once(':')?;
    let (name, rest) = rest.split_once(' ')?;
    Some((seconds.parse::<f64>().ok()? * 1000.0, name, rest))
}

/// All numbers in a text, decimal or with 0x.
fn numbers(text: &str) -> Vec<u64> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let number = |word: &str| match word.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => word.parse().ok(),
    };
    words.filter_map(number).collect()
}

/// What was sent to the sound card at a time.
struct Packet<'a> {
    ms: f64,
    data: &'a [u8],
}

/// The isochronous OUT packets that were submitted.
fn packets(pcap: &[u8]) -> Vec<Packet<'_>> {
    const HEADER: usize = 64; // struct usbmon_packet, as mmap has it
    let number = |at: usize, bytes: usize| {
        let mut value = [0; 8];
        value[..bytes].copy_from_slice(pcap.get(at..at + bytes)?);
        Some(u64::from_le_bytes(value))
    };
    let mut packets = Vec::new();
    let mut at = 24;
    while let Some(length) = number(at + 8, 4) {
        let start = at + 16;
        at = start + length as usize;
        let Some(packet) = pcap.get(start..at).filter(|p| p.len() > HEADER) else {
            continue;
        };
        let is_out = packet[8] == b'S' && packet[9] == 0 && packet[10] & 0x80 == 0;
        let (Some(s), Some(us)) = (number(start + 16, 8), number(start + 24, 4)) else {
            continue;
        };
        if is_out {
            packets.push(Packet {
                ms: s as f64 * 1000.0 + us as f64 / 1000.0,
                data: &packet[HEADER..],
            });
        }
    }
    packets
}

struct Stream {
    start: f64,
    end: f64,
    bytes: usize,
    /// The first and the last packet of each sound.
    sounds: Vec<(f64, f64)>,
    /// Bytes of silence since the last sound.
    silence: usize,
}

fn streams(packets: &[Packet<'_>]) -> Vec<Stream> {
    let mut streams: Vec<Stream> = Vec::new();
    for packet in packets {
        if streams
            .last()
            .is_none_or(|s| packet.ms - s.end > STREAM_GAP)
        {
            streams.push(Stream {
                start: packet.ms,
                end: packet.ms,
                bytes: 0,
                sounds: Vec::new(),
                silence: 0,
            });
        }
        let stream = streams.last_mut().expect("one was pushed");
        stream.end = packet.ms;
        stream.bytes += packet.data.len();
        if packet.data.iter().all(|byte| *byte == 0) {
            stream.silence += packet.data.len();
            continue;
        }
        match stream.sounds.last_mut() {
            Some((_, to)) if stream.silence < SOUND_GAP * FRAME => *to = packet.ms,
            _ => stream.sounds.push((packet.ms, packet.ms)),
        }
        stream.silence = 0;
    }
    streams
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_read() {
        let trace = "\
1@10.000:virtio_console_flush_buf port 2, in_len 5, out_len 5
1@10.001:serial_write write addr 0x04 val 0x0b
1@10.002:serial_write write addr 0x01 val 0x0b
1@10.003:usb_serial_handle_control dev 0:2 got control 0x4001, value 0x303
1@10.004:usb_serial_handle_control dev 0:1 got control 0x4001, value 0x202
1@10.005:usb_serial_handle_control dev 0:1 got control 0x4001, value 0x202
1@10.006:usb_serial_handle_control dev 0:1 got control 0x4003, value 0x300
1@10.007:virtio_console_flush_buf port 2, in_len 1, out_len 1
nonsense
";
        let events = trace_events(trace, "startx");
        let shown: Vec<String> = events
            .iter()
            .map(|e| {
                let ms = e.ms - 10_000.0;
                Event { ms, ..e.clone() }.show()
            })
            .collect();
        assert_eq!(
            shown,
            [
                "0.0 LAB MARK start",
                "7.0 LAB MARK x",
                "1.0 ttyS0 DTR 1",
                "1.0 ttyS0 RTS 1",
                "3.0 ttyUSB1 DTR 1",
                "3.0 ttyUSB1 RTS 1",
                "4.0 ttyUSB0 RTS 1",
            ]
        );
    }

    #[test]
    fn packets_are_streams_of_sound_and_silence() {
        let mut pcap = vec![0; 24];
        for (us, sample) in [(0u32, 0u8), (1000, 9), (2000, 0), (900_000, 0)] {
            pcap.extend([0; 8]);
            pcap.extend(68u32.to_le_bytes());
            pcap.extend([0; 4]);
            let mut packet = [0; 68];
            packet[8] = b'S';
            packet[16] = 5;
            packet[24..28].copy_from_slice(&us.to_le_bytes());
            packet[64] = sample;
            pcap.extend(packet);
        }
        let packets = packets(&pcap);
        let streams = streams(&packets);
        assert_eq!(streams.len(), 2);
        assert_eq!(streams[0].bytes, 12);
        assert_eq!(streams[0].sounds, [(5001.0, 5001.0)]);
        assert_eq!((streams[1].start, streams[1].sounds.len()), (5900.0, 0));
    }
}
