//! The sound card: opened for what a recording needs, written to ahead, asked where it is.
//!
//! ALSA's own conversion of rates is switched off, so that a device that would resample says what
//! it really takes. Everything is non-blocking: the player sleeps by its own deadlines, and so
//! works the same with cards, with dmix, and with sound servers.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use alsa::pcm::{Access, Format as AlsaFormat, HwParams, PCM, State};
use alsa::{Direction, ValueOr};
use nix::errno::Errno;

use crate::error::Error;
use crate::message::{Format, Sound, TONE_BAND};

/// How much sound lies ahead of the card.
const BUFFER: Duration = Duration::from_secs(1);
/// How finely the card should tell where it is. A sound server tells that between its periods too, and
/// each of them costs it and us a message.
const PERIOD: Duration = Duration::from_millis(20);
const PERIOD_OF_SERVER: Duration = Duration::from_millis(100);

/// The device that is used when none is named.
pub(crate) fn default_name() -> String {
    // Card identifiers are links here.
    match Path::new("/proc/asound/CODEC").exists() {
        true => "default:CARD=CODEC".to_owned(),
        false => "default".to_owned(),
    }
}

/// What a recording would like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    pub(crate) rate: u32,
    pub(crate) channels: usize,
    /// Bits of a sample; 0 for floating point.
    pub(crate) bits: u32,
    /// The tone that the rate must carry, in hertz.
    pub(crate) tone: Option<f64>,
}

impl Wish {
    /// Rates in the order in which they are wanted: that of the recording, then those that cost
    /// least quality.
    pub(crate) fn rates(&self) -> impl Iterator<Item = u32> + use<> {
        let wish = *self;
        let enough = move |rate: &u32| {
            wish.tone
                .is_none_or(|hz| hz <= TONE_BAND * f64::from(*rate))
        };
        [
            wish.rate, 48000, 44100, 96000, 88200, 192_000, 176_400, 32000, 24000, 22050, 16000,
            8000,
        ]
        .into_iter()
        .filter(enough)
    }

    /// Formats likewise: one that holds every bit and that most cards take; then the others, the best first.
    fn formats(&self) -> [Format; 5] {
        match self.bits {
            1..=16 => [
                Format::S16,
                Format::S32,
                Format::S24,
                Format::S24Packed,
                Format::U8,
            ],
            _ => [
                Format::S32,
                Format::S24,
                Format::S24Packed,
                Format::S16,
                Format::U8,
            ],
        }
    }
}

/// An open card.
pub(crate) struct Card {
    pcm: PCM,
    name: String,
    pub(crate) sound: Sound,
    /// Frames that it takes ahead.
    pub(crate) buffer: u64,
    /// Whether it is a program that plays to a card in its own time.
    pub(crate) is_server: bool,
    /// What ALSA says beside its error numbers ends here, not on the terminal.
    _said: Option<Rc<RefCell<alsa::Output>>>,
}

/// What the card says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    /// Frames that can be written now.
    pub(crate) room: u64,
    /// Frames that were written and are still to be heard.
    pub(crate) ahead: u64,
}

/// Why the card cannot go on.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It ran out of sound, or was suspended: [`Card::recover`] helps.
    Xrun,
    /// Nothing helps.
    Lost(io::Error),
}

impl From<alsa::Error> for Trouble {
    fn from(error: alsa::Error) -> Trouble {
        match Errno::from_raw(error.errno()) {
            Errno::EPIPE | Errno::ESTRPIPE => Trouble::Xrun,
            other => Trouble::Lost(other.into()),
        }
    }
}

impl Card {
    /// Opens `name` for playing and sets it to what suits `wish` best.
    pub(crate) fn open(name: &str, wish: &Wish) -> Result<Card, Error> {
        let said = alsa::Output::local_error_handler().ok();
        let at = |doing| move |error: alsa::Error| Error::doing(name, doing, system(&error));
        let wide = std::ffi::CString::new(name)
            .map_err(|_| Error::unfit(Path::new(name), "not the name of a device"))?;
        let pcm = PCM::open(&wide, Direction::Playback, true).map_err(at("open for playing"))?;
        // `null` is no card either, but takes everything at once.
        let is_server = pcm
            .info()
            .is_ok_and(|info| info.get_card() < 0 && info.get_id() != Ok("null"));
        let period = match is_server {
            true => PERIOD_OF_SERVER,
            false => PERIOD,
        };
        let (sound, buffer) = set_up(&pcm, wish, period).map_err(|trouble| match trouble {
            Setting::Refused(error) => at("set up")(error),
            Setting::Unfit(why) => Error::unfit(Path::new(name), why),
        })?;
        Ok(Card {
            pcm,
            is_server,
            name: name.to_owned(),
            sound,
            buffer,
            _said: said,
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn position(&self) -> Result<Position, Trouble> {
        let (room, ahead) = self.pcm.avail_delay()?;
        match self.pcm.state() {
            State::XRun | State::Suspended => Err(Trouble::Xrun),
            State::Disconnected => Err(Trouble::Lost(Errno::ENODEV.into())),
            _ => {
                let ahead = u64::try_from(ahead).unwrap_or(0);
                let room = u64::try_from(room).unwrap_or(0);
                // A sound server takes more than the buffer that was agreed on, and what it has taken is
                // slow to stop. But it shall not go hungry, however far behind it plays.
                let most = self.buffer.saturating_sub(ahead);
                let hunger = room.saturating_sub(self.buffer / 2);
                Ok(Position {
                    room: room.min(most.max(hunger)),
                    ahead,
                })
            }
        }
    }

    /// Writes whole frames; returns how many were taken.
    pub(crate) fn write(&self, frames: &[u8]) -> Result<u64, Trouble> {
        match self.pcm.io_bytes().writei(frames) {
            Ok(count) => Ok(count as u64),
            Err(error) if error.errno() == Errno::EAGAIN as i32 => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Lets it sound what was written.
    pub(crate) fn start(&self) -> Result<(), Trouble> {
        match self.pcm.state() {
            State::Running => Ok(()),
            _ => Ok(self.pcm.start()?),
        }
    }

    /// Silence at once. What was written is forgotten.
    pub(crate) fn stop(&self) {
        let _ = self.pcm.drop(); // a card that cannot even stop is closed next
    }

    /// Makes it ready to be filled and started again.
    pub(crate) fn recover(&self) -> Result<(), Trouble> {
        self.stop();
        Ok(self.pcm.prepare()?)
    }
}

fn system(error: &alsa::Error) -> io::Error {
    io::Error::from_raw_os_error(error.errno())
}

/// Why a device cannot be set up.
enum Setting {
    Refused(alsa::Error),
    Unfit(String),
}

impl From<alsa::Error> for Setting {
    fn from(error: alsa::Error) -> Setting {
        Setting::Refused(error)
    }
}

fn set_up(pcm: &PCM, wish: &Wish, period: Duration) -> Result<(Sound, u64), Setting> {
    let hw = HwParams::any(pcm)?;
    hw.set_rate_resample(false)?;
    hw.set_access(Access::RWInterleaved)?;
    let taken = |format: &Format| hw.test_format(alsa_format(*format)).is_ok();
    let Some(format) = wish.formats().into_iter().find(taken) else {
        return Err(Setting::Unfit(
            "takes none of the usual sample formats".into(),
        ));
    };
    hw.set_format(alsa_format(format))?;
    let mut counts = [wish.channels as u32, 3 - wish.channels as u32].into_iter();
    let channels = match counts.find(|count| hw.test_channels(*count).is_ok()) {
        Some(count) => {
            hw.set_channels(count)?;
            count
        }
        None => hw.set_channels_near(2)?,
    };
    let Some(rate) = wish.rates().find(|rate| hw.test_rate(*rate).is_ok()) else {
        return Err(Setting::Unfit(match wish.tone {
            Some(hertz) => format!("takes no rate that carries a tone of {hertz} Hz"),
            None => "takes none of the usual rates".into(),
        }));
    };
    hw.set_rate(rate, ValueOr::Nearest)?;
    hw.set_buffer_time_near(BUFFER.as_micros() as u32, ValueOr::Nearest)?;
    hw.set_period_time_near(period.as_micros() as u32, ValueOr::Nearest)?;
    pcm.hw_params(&hw)?;
    let buffer = hw.get_buffer_size()?;

    let sw = pcm.sw_params_current()?;
    sw.set_start_threshold(sw.get_boundary()?)?; // started by hand, when the buffer is full
    sw.set_stop_threshold(buffer)?;
    pcm.sw_params(&sw)?;
    let sound = Sound {
        rate,
        channels: channels as usize,
        format,
    };
    Ok((sound, buffer as u64))
}

fn alsa_format(format: Format) -> AlsaFormat {
    match format {
        Format::U8 => AlsaFormat::U8,
        Format::S16 => AlsaFormat::S16LE,
        Format::S24Packed => AlsaFormat::S243LE,
        Format::S24 => AlsaFormat::S24LE,
        Format::S32 => AlsaFormat::S32LE,
    }
}
