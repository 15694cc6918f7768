//! Keying a transmitter (push to talk): a line of a serial port, or a pin of a CM108 sound chip, that
//! is released in every way a program can end.
//!
//! ```no_run
//! # fn main() -> Result<(), ptt::Error> {
//! let setup = ptt::Setup::new("/dev/ttyUSB0");
//! let mut ptt = ptt::Ptt::open(&setup)?; // locked, and not keyed
//! ptt.key()?;
//! // … send …
//! ptt.release()?;
//! ptt.close()?; // settings restored, unlocked
//! # Ok(())
//! # }
//! ```
//!
//! A [`Setup`] says which device keys and how; [`Ptt`] is that device, open and locked. Dropping it
//! releases the transmitter, on a panic too. When the process is killed, the kernel lets the lines of
//! a serial port fall, because the port is left with HUPCL set and no child has the descriptor; where
//! the kernel does not (CM108, inverted lines), a guardian process releases the transmitter. With
//! [`Setup::dead_man`] it does so too when the program has not shown in time that it is alive.
//!
//! Nothing here waits, except for a USB transfer: lead, tail and time-out are times that the program keeps
//! ([`Times`], [`Ptt::time_out_at`]).
//!
//! Later outputs (GPIO lines, the parallel port) are further variants of [`Output`].

mod cm108;
mod error;
mod guardian;
mod key;
mod list;
mod lock;
mod serial;
mod setup;
mod sys;
mod times;
mod uucp;

pub use error::Error;
pub use key::Ptt;
pub use list::{Port, ports};
pub use setup::{Line, Locking, Output, Setup};
pub use times::Times;
