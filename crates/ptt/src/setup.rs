//! Which device keys a transmitter, and how.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

/// The line of a serial port that keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// Request to send; DTR stays low.
    Rts,
    /// Data terminal ready; RTS stays low.
    Dtr,
    /// Both together.
    Both,
}

impl Line {
    /// `rts`, `dtr` or `both`, as a command line gives it.
    pub fn parse(text: &OsStr) -> Result<Line, String> {
        match text.to_str() {
            Some("rts") => Ok(Line::Rts),
            Some("dtr") => Ok(Line::Dtr),
            Some("both") => Ok(Line::Both),
            _ => Err(format!("'{}': not rts, dtr or both", cli::diag::name(text))),
        }
    }
}

/// What of the device keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// A line of a serial port.
    Serial(Line),
    /// A pin of a C-Media CM108 or a similar sound chip, through hidraw.
    Cm108 {
        /// 1 to 8, as the data sheet numbers them.
        gpio: u8,
    },
}

impl Output {
    /// The pin that most interfaces use: GPIO 3.
    pub const CM108: Output = Output::Cm108 { gpio: 3 };

    /// The output for a pin as a command line gives it: 1 to 8.
    pub fn cm108(gpio: &OsStr) -> Result<Output, String> {
        match gpio.to_str().and_then(|t| t.parse().ok()) {
            Some(gpio @ 1..=8) => Ok(Output::Cm108 { gpio }),
            _ => Err(format!(
                "'{}': not a pin from 1 to 8",
                cli::diag::name(gpio)
            )),
        }
    }
}

/// What keeps two programs from one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locking {
    /// flock(2) on the device, and a UUCP lock file where its folder lets us write.
    Auto,
    /// Both, or an error.
    Required,
    /// Neither.
    Off,
}

/// Which device keys a transmitter, and how.
#[derive(Clone, Debug)]
pub struct Setup {
    /// A serial port (any name of it), or for [`Output::Cm108`] a hidraw device or a sound card:
    /// `/dev/hidraw0`, `hw:1`, `default:CARD=Device`, `/dev/snd/controlC1`.
    pub device: PathBuf,
    /// What of it keys.
    pub output: Output,
    /// Keyed is low (or a pin at 0) instead of high.
    ///
    /// A serial port that is closed is keyed then. While the program runs, a guardian process takes
    /// care, and the port is left with its line up and without HUPCL; but a restart of the machine,
    /// or another program that closes the port, keys.
    pub invert: bool,
    /// Leaves a serial port at speed 0 (B0), at which the next open does not raise the lines.
    pub quiet_open: bool,
    /// What keeps other programs out.
    pub locking: Locking,
    /// Does what is refused otherwise: an inverted line that the port's speed of 0 holds low, a
    /// hidraw device of a chip that is not known.
    pub force: bool,
    /// How long the transmitter may be keyed without a pause. The program obeys it
    /// ([`Ptt::time_out_at`](crate::Ptt::time_out_at)); a guardian, if there is one, enforces it.
    pub timeout: Option<Duration>,
    /// A guardian process that releases the transmitter when [`Ptt::alive`](crate::Ptt::alive) has not been
    /// called for so long while it is keyed: the program may hang or be stopped.
    pub dead_man: Option<Duration>,
}

impl Setup {
    /// RTS of a serial port, locked, without a time-out.
    pub fn new(device: impl Into<PathBuf>) -> Setup {
        Setup {
            device: device.into(),
            output: Output::Serial(Line::Rts),
            invert: false,
            quiet_open: false,
            locking: Locking::Auto,
            force: false,
            timeout: None,
            dead_man: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_command_line_gives() {
        assert_eq!(Line::parse(OsStr::new("both")), Ok(Line::Both));
        assert_eq!(
            Line::parse(OsStr::new("RTS")).unwrap_err(),
            "'RTS': not rts, dtr or both"
        );
        assert_eq!(
            Output::cm108(OsStr::new("8")),
            Ok(Output::Cm108 { gpio: 8 })
        );
        for wrong in ["0", "9", "", "x"] {
            assert!(Output::cm108(OsStr::new(wrong)).is_err(), "{wrong}");
        }
    }
}
