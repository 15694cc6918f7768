//! What there is to key with: serial ports, and sound chips with pins.

use crate::{Error, cm108};
use serialport::SerialPortType;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A device that may key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// `/dev/ttyUSB0`, `/dev/hidraw0`.
    pub path: PathBuf,
    /// The name that stays when it is plugged in elsewhere: a link in /dev/serial/by-id.
    pub by_id: Option<PathBuf>,
    /// What it is, in words: `USB 0403:6001 FTDI FT232R`.
    pub description: String,
}

/// The serial ports and CM108 chips of this machine, sorted by path. No device is opened: that would
/// raise its lines.
pub fn ports() -> Result<Vec<Port>, Error> {
    let mut ports = Vec::new();
    let ttys = Path::new("/sys/class/tty");
    if ttys.is_dir() {
        let found = serialport::available_ports()
            .map_err(|e| Error::system(ttys, "reading", io::Error::other(e.description)))?;
        let links = links();
        ports.extend(found.into_iter().map(|port| {
            let path = PathBuf::from(port.port_name);
            let its = links.iter().filter(|(_, to)| *to == path);
            Port {
                by_id: its.map(|(link, _)| link).min().cloned(),
                description: description(&port.port_type),
                path,
            }
        }));
    }
    ports.extend(chips());
    ports.sort_unstable_by_key(|port| natural(&port.path));
    Ok(ports)
}

/// ttyS2 before ttyS10: the name, and the number at its end.
fn natural(path: &Path) -> (String, u64) {
    let name = path.to_string_lossy();
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    (stem.to_owned(), name[stem.len()..].parse().unwrap_or(0))
}

/// The links in /dev/serial/by-id, with what they lead to.
fn links() -> Vec<(PathBuf, PathBuf)> {
    let entries = fs::read_dir("/dev/serial/by-id").into_iter().flatten();
    entries
        .flatten()
        .filter_map(|entry| Some((entry.path(), entry.path().canonicalize().ok()?)))
        .collect()
}

fn description(kind: &SerialPortType) -> String {
    match kind {
        SerialPortType::UsbPort(usb) => {
            let mut text = format!("USB {:04x}:{:04x}", usb.vid, usb.pid);
            for word in [&usb.manufacturer, &usb.product, &usb.serial_number] {
                if let Some(word) = word.as_deref().filter(|w| !w.is_empty()) {
                    text.push(' ');
                    text.push_str(word);
                }
            }
            text
        }
        SerialPortType::PciPort => "PCI".to_owned(),
        SerialPortType::BluetoothPort => "Bluetooth".to_owned(),
        SerialPortType::Unknown => "serial port".to_owned(),
    }
}

/// The known chips among the hidraw devices, as /sys describes them.
fn chips() -> Vec<Port> {
    let entries = fs::read_dir("/sys/class/hidraw").into_iter().flatten();
    entries
        .flatten()
        .filter_map(|entry| {
            let uevent = fs::read_to_string(entry.path().join("device/uevent")).ok()?;
            Some(Port {
                path: Path::new("/dev").join(entry.file_name()),
                by_id: None,
                description: chip(&uevent)?,
            })
        })
        .collect()
}

/// `HID_ID=0003:00000D8C:0000013C`, `HID_NAME=C-Media USB Audio Device`.
fn chip(uevent: &str) -> Option<String> {
    let field = |name| uevent.lines().find_map(|line| line.strip_prefix(name));
    let mut id = field("HID_ID=")?.split(':').skip(1);
    let mut number = || u16::try_from(u32::from_str_radix(id.next()?, 16).ok()?).ok();
    let (vendor, product) = (number()?, number()?);
    let name = field("HID_NAME=").unwrap_or_default();
    let text = format!("CM108 {vendor:04x}:{product:04x} {name}");
    cm108::is_known(vendor, product).then(|| text.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chips_among_hid_devices() {
        let known = "DRIVER=hid-generic\nHID_ID=0003:00000D8C:0000013C\nHID_NAME=C-Media Device\n";
        assert_eq!(
            chip(known).as_deref(),
            Some("CM108 0d8c:013c C-Media Device")
        );
        assert_eq!(
            chip("HID_ID=0003:0000046D:0000C31C\nHID_NAME=Keyboard"),
            None
        );
        assert_eq!(chip("HID_ID=x\n"), None);
        assert_eq!(chip(""), None);
    }

    #[test]
    fn numbers_are_sorted_as_numbers() {
        assert!(natural(Path::new("/dev/ttyS2")) < natural(Path::new("/dev/ttyS10")));
        assert!(natural(Path::new("/dev/ttyS10")) < natural(Path::new("/dev/ttyUSB0")));
    }
}
