//! The transmitter's key, as the player uses it: a line, or nothing where a tone does it.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use ptt::{Ptt, Setup};

use crate::error::Error;

/// Without a word for so long the guardian releases the key: the sound that lies ahead, and a bit.
pub(crate) const DEAD_MAN: Duration = Duration::from_millis(1250);

/// The key. Dropping it releases the transmitter.
#[derive(Debug)]
pub(crate) struct Key {
    ptt: Option<Ptt>,
    timeout: Option<Duration>,
    since: Option<Instant>,
}

impl Key {
    /// Opens the device of `setup`, released; without one, only the time is kept.
    pub(crate) fn open(setup: Option<Setup>, timeout: Option<Duration>) -> Result<Key, Error> {
        let open = |setup: Setup| {
            let setup = Setup {
                dead_man: Some(DEAD_MAN),
                ..setup
            };
            Ptt::open(&setup).map_err(Error::NoKey)
        };
        Ok(Key {
            ptt: setup.map(open).transpose()?,
            timeout,
            since: None,
        })
    }

    pub(crate) fn raise(&mut self) -> Result<(), Error> {
        self.since = Some(Instant::now());
        self.ptt
            .as_mut()
            .map_or(Ok(()), |ptt| ptt.key().map_err(Error::Key))
    }

    pub(crate) fn release(&mut self) -> Result<(), Error> {
        self.since = None;
        self.ptt
            .as_mut()
            .map_or(Ok(()), |ptt| ptt.release().map_err(Error::Key))
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.since.is_some()
    }

    /// Whether it may go on.
    ///
    /// # Errors
    /// The time-out is over, or the device is gone.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if let (Some(since), Some(timeout)) = (self.since, self.timeout)
            && since.elapsed() >= timeout
        {
            return Err(Error::TimedOut(timeout));
        }
        self.ptt
            .as_ref()
            .map_or(Ok(()), |ptt| ptt.check().map_err(Error::Key))
    }

    /// Tells the guardian that all is well. `false`: it had released the key already.
    pub(crate) fn alive(&mut self) -> Result<bool, Error> {
        self.ptt
            .as_mut()
            .map_or(Ok(true), |ptt| ptt.alive().map_err(Error::Key))
    }

    /// Descriptors that hang up when the key cannot work any more.
    pub(crate) fn watched(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.ptt.iter().flat_map(|ptt| ptt.watched())
    }

    /// Released, with the settings of a port restored.
    pub(crate) fn close(self) -> Result<(), Error> {
        self.ptt
            .map_or(Ok(()), |ptt| ptt.close().map_err(Error::Key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_out_holds_without_a_line_too() {
        let mut key = Key::open(None, Some(Duration::ZERO)).unwrap();
        assert!(key.check().is_ok());
        key.raise().unwrap();
        assert!(matches!(key.check(), Err(Error::TimedOut(_))));
        key.release().unwrap();
        assert!(key.check().is_ok());
    }
}
