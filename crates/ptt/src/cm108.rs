//! The pins of a C-Media CM108, CM109 or CM119 sound chip (and of chips like it), through hidraw.
//!
//! An output report has a report number of 0 and four bytes (CM108 data sheet, "HID output report"):
//! the first selects plain GPIO, the second has the values of pins 1 to 8, the third which of them are
//! outputs. The kernel knows nothing of what the pins do: they stay when a program ends.

use crate::guardian::Relief;
use crate::lock::Held;
use crate::{Error, Setup, sys};
use nix::errno::Errno;
use nix::libc;
use std::fs::{self, OpenOptions};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Vendor and products whose pins are driven like this. (C-Media's data sheets; Hamlib's cm108.c and
/// Dire Wolf's cm108.h list what is sold.)
const CHIPS: &[(u16, std::ops::RangeInclusive<u16>)] = &[
    (0x0d8c, 0x0008..=0x000f), // CM108, CM109, CM119
    (0x0d8c, 0x0012..=0x0013), // CM108B, CM119B
    (0x0d8c, 0x0139..=0x013a), // CM108AH, CM119A
    (0x0d8c, 0x013c..=0x013c), // CM108AH, HS-100
    (0x0c76, 0x1605..=0x1605), // SSS1621, SSS1623
    (0x0c76, 0x1607..=0x1607),
    (0x0c76, 0x160b..=0x160b),
    (0x1209, 0x7388..=0x7388), // All-In-One-Cable
];

/// Whether a product is such a chip.
pub(crate) fn is_known(vendor: u16, product: u16) -> bool {
    CHIPS
        .iter()
        .any(|(v, products)| *v == vendor && products.contains(&product))
}

/// A pin that keys.
#[derive(Debug)]
pub(crate) struct Cm108 {
    path: PathBuf,
    device: Held,
    keyed: [u8; 5],
    idle: [u8; 5],
}

/// Report number, mode, values, directions, SPDIF.
fn report(gpio: u8, high: bool) -> [u8; 5] {
    let pin = 1 << (gpio - 1);
    [0, 0, if high { pin } else { 0 }, pin, 0]
}

impl Cm108 {
    /// Opens the hidraw device and makes the pin an output that does not key.
    pub(crate) fn open(path: &Path, gpio: u8, setup: &Setup) -> Result<Cm108, Error> {
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK)
            .open(path);
        let device = Held::free(opened.map_err(|e| Error::system(path, "opening", e))?);
        match sys::hid_product(device.fd()) {
            Err(_) => return Err(Error::unfit(path, "not a hidraw device")),
            Ok((vendor, product)) if !is_known(vendor, product) && !setup.force => {
                let why = format!("{vendor:04x}:{product:04x} is no CM108 or like it");
                return Err(Error::unfit(path, why));
            }
            Ok(_) => {}
        }
        let mut chip = Cm108 {
            path: path.to_owned(),
            device: device.lock(path, setup.locking)?,
            keyed: report(gpio, !setup.invert),
            idle: report(gpio, setup.invert),
        };
        chip.release()?;
        Ok(chip)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.device.fd()
    }

    pub(crate) fn key(&mut self) -> Result<(), Error> {
        self.send(self.keyed, "keying")
    }

    pub(crate) fn release(&mut self) -> Result<(), Error> {
        self.send(self.idle, "releasing the pin")
    }

    /// What a guardian does.
    pub(crate) fn relief(&self) -> Relief<'_> {
        Relief::Report {
            device: self.device.fd(),
            report: self.idle,
        }
    }

    fn send(&self, report: [u8; 5], doing: &'static str) -> Result<(), Error> {
        match nix::unistd::write(self.device.fd(), &report) {
            Ok(_) => Ok(()), // a report goes as a whole
            Err(Errno::ENODEV | Errno::ENXIO) => Err(Error::Gone {
                path: self.path.clone(),
            }),
            Err(error) => Err(Error::system(&self.path, doing, error)),
        }
    }
}

/// The hidraw device of what the user names: itself, or a sound card whose USB device has one.
pub(crate) fn find(device: &Path) -> Result<PathBuf, Error> {
    let real = device.canonicalize().unwrap_or_default();
    let name = real.file_name().unwrap_or_default().to_string_lossy();
    if name.starts_with("hidraw") || (real.exists() && card_of_node(&name).is_none()) {
        return Ok(device.to_owned());
    }
    let sys = Path::new("/sys/class");
    let card = card_of_node(&name)
        .or_else(|| card_of_pcm(&device.to_string_lossy(), sys))
        .ok_or_else(|| Error::unfit(device, "no such hidraw device or sound card"))?;
    let hidraw = hidraw_of_card(card, sys).ok_or_else(|| {
        Error::unfit(
            device,
            format!("sound card {card} has no hidraw device: no CM108 or like it"),
        )
    })?;
    Ok(Path::new("/dev").join(hidraw))
}

/// 1 of `controlC1` and `pcmC1D0p`.
fn card_of_node(name: &str) -> Option<u32> {
    let rest = name
        .strip_prefix("controlC")
        .or_else(|| name.strip_prefix("pcmC"))?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    rest[..digits].parse().ok()
}

/// The card of a name of ALSA's: `hw:1,0`, `plughw:CARD=Device,DEV=0`, `default:Device`, `1`.
fn card_of_pcm(name: &str, sys: &Path) -> Option<u32> {
    let arguments = name.split_once(':').map_or(name, |(_, rest)| rest);
    let mut fields = arguments.split(',');
    let first = fields.clone().next()?;
    let card = fields
        .find_map(|field| field.strip_prefix("CARD="))
        .unwrap_or(first);
    let number = |card: &str| card.parse().ok();
    number(card).or_else(|| {
        let cards = fs::read_dir(sys.join("sound")).ok()?;
        cards.flatten().find_map(|entry| {
            let id = fs::read_to_string(entry.path().join("id")).ok()?;
            let entry = entry.file_name();
            (id.trim() == card).then(|| number(entry.to_str()?.strip_prefix("card")?))?
        })
    })
}

/// The name of the hidraw device that is of the same USB device as the card.
fn hidraw_of_card(card: u32, sys: &Path) -> Option<String> {
    let usb_device = |class: PathBuf| {
        let device = class.join("device").canonicalize().ok()?;
        let mut parents = device.ancestors();
        parents
            .find(|folder| folder.join("idVendor").is_file())
            .map(Path::to_owned)
    };
    let wanted = usb_device(sys.join(format!("sound/card{card}")))?;
    let all = fs::read_dir(sys.join("hidraw")).ok()?;
    all.flatten()
        .filter(|entry| usb_device(entry.path()).as_ref() == Some(&wanted))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn reports() {
        assert_eq!(report(3, true), [0, 0, 4, 4, 0]);
        assert_eq!(report(3, false), [0, 0, 0, 4, 0]);
        assert_eq!(report(8, true), [0, 0, 0x80, 0x80, 0]);
    }

    /// A tree like /sys/class, with a CM108 as card 1 and a plain USB sound card as card 2.
    fn tree(dir: &Path) -> PathBuf {
        let sys = dir.join("class");
        for (device, card, id, hidraw) in [
            ("usb1/1-1", "card1", "Device", Some("hidraw3")),
            ("usb1/1-2", "card2", "CODEC", None),
            ("usb1/1-3", "", "", Some("hidraw0")),
        ] {
            let usb = dir.join("devices").join(device);
            fs::create_dir_all(&usb).unwrap();
            fs::write(usb.join("idVendor"), "0d8c\n").unwrap();
            if !card.is_empty() {
                let class = sys.join("sound").join(card);
                fs::create_dir_all(&class).unwrap();
                fs::create_dir_all(usb.join("a:1.0")).unwrap();
                symlink(usb.join("a:1.0"), class.join("device")).unwrap();
                fs::write(class.join("id"), format!("{id}\n")).unwrap();
            }
            if let Some(hidraw) = hidraw {
                let class = sys.join("hidraw").join(hidraw);
                fs::create_dir_all(&class).unwrap();
                fs::create_dir_all(usb.join("a:1.3/0003:0D8C:013C.0001")).unwrap();
                symlink(usb.join("a:1.3/0003:0D8C:013C.0001"), class.join("device")).unwrap();
            }
        }
        sys
    }

    #[test]
    fn cards_and_their_hidraw_devices() {
        let dir = tempfile::tempdir().unwrap();
        let sys = tree(dir.path());
        for (name, card) in [
            ("1", Some(1)),
            ("hw:1", Some(1)),
            ("plughw:1,0", Some(1)),
            ("default:CARD=Device", Some(1)),
            ("hw:DEV=0,CARD=CODEC", Some(2)),
            ("CODEC", Some(2)),
            ("hw:Nothing", None),
            ("default", None),
        ] {
            assert_eq!(card_of_pcm(name, &sys), card, "{name}");
        }
        assert_eq!(hidraw_of_card(1, &sys).as_deref(), Some("hidraw3"));
        assert_eq!(hidraw_of_card(2, &sys), None);
        assert_eq!(hidraw_of_card(9, &sys), None);
        assert_eq!(card_of_node("controlC12"), Some(12));
        assert_eq!(card_of_node("pcmC0D3p"), Some(0));
        assert_eq!(card_of_node("ttyS0"), None);
    }

    #[test]
    fn chips() {
        assert!(is_known(0x0d8c, 0x013c) && is_known(0x0d8c, 0x000c));
        assert!(!is_known(0x0d8c, 0x0010) && !is_known(0x046d, 0x000c));
    }
}
