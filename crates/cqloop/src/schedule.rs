//! When what begins and ends, in frames of the sound stream. No clock is asked here.
//!
//! Pass `k` begins at `origin + k * (length + delay)`. Everything is counted from the origin, so
//! that no rounding adds up: after hours the error is still half a frame.

/// A frame that no card gets to, with room behind it for an over and more.
const NEVER: u64 = u64::MAX / 2;

/// The passes of a run. An over is a pass with the lead before it and the tail behind it, during
/// which the transmitter is keyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    /// Frames a second.
    pub(crate) rate: u32,
    /// Frames of the recording.
    pub(crate) length: u64,
    /// Nanoseconds from the end of a recording to its next beginning.
    pub(crate) delay: u64,
    /// Frames that the key leads by.
    pub(crate) lead: u64,
    /// Frames that the key stays for.
    pub(crate) tail: u64,
    /// Passes in all.
    pub(crate) count: Option<u64>,
    /// Where pass `first` begins.
    origin: u64,
    first: u64,
}

/// An over: pass `pass`, counted from 0, keyed from `on` to `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Over {
    pub(crate) pass: u64,
    pub(crate) on: u64,
    pub(crate) begin: u64,
    pub(crate) end: u64,
    pub(crate) off: u64,
}

impl Schedule {
    /// A schedule whose first over begins `ahead` frames after the stream does.
    pub(crate) fn new(
        rate: u32,
        length: u64,
        delay: u64,
        (lead, tail): (u64, u64),
        count: Option<u64>,
        ahead: u64,
    ) -> Schedule {
        Schedule {
            rate,
            length,
            delay,
            lead,
            tail,
            count,
            origin: ahead + lead,
            first: 0,
        }
    }

    /// The over of a pass; `None` behind the last one. `pass` is not one before the origin's.
    pub(crate) fn over(&self, pass: u64) -> Option<Over> {
        if self.count.is_some_and(|count| pass >= count) {
            return None;
        }
        let since = u128::from(pass - self.first);
        let delays = since.saturating_mul(u128::from(self.delay) * u128::from(self.rate));
        let delays = delays.saturating_add(500_000_000) / 1_000_000_000;
        let since = since * u128::from(self.length) + delays;
        // Of so many passes nobody lives to see the last one, but somebody may ask for them.
        let begin = self.origin + u64::try_from(since).unwrap_or(u64::MAX).min(NEVER);
        let end = begin + self.length;
        Some(Over {
            pass,
            on: begin - self.lead,
            begin,
            end,
            off: end + self.tail,
        })
    }

    /// Starts anew on a stream that begins anew: the over of `pass` begins `ahead` frames into it.
    pub(crate) fn restart(&mut self, pass: u64, ahead: u64) {
        self.first = pass;
        self.origin = ahead + self.lead;
    }

    /// Frames from the begin of a pass to that of the next, to the nearest one.
    pub(crate) fn period(&self) -> u64 {
        self.length + frames(self.delay, self.rate)
    }
}

/// Nanoseconds as frames, to the nearest one.
pub(crate) fn frames(nanoseconds: u64, rate: u32) -> u64 {
    let product = u128::from(nanoseconds) * u128::from(rate);
    ((product + 500_000_000) / 1_000_000_000) as u64
}

/// Frames as seconds.
pub(crate) fn seconds(frames: u64, rate: u32) -> f64 {
    frames as f64 / f64::from(rate)
}

/// What happens at a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The transmitter is keyed.
    On,
    /// The first sample of the recording.
    Begin,
    /// Behind the last sample of the recording.
    End,
    /// The transmitter is released.
    Off,
}

/// The moments of a run, one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Moments {
    pass: u64,
    next: Moment,
}

impl Moments {
    pub(crate) fn from_pass(pass: u64) -> Moments {
        Moments {
            pass,
            next: Moment::On,
        }
    }

    /// The next moment: its frame, what it is, and of which pass. `None` behind the last one.
    pub(crate) fn peek(&self, schedule: &Schedule) -> Option<(u64, Moment, u64)> {
        let over = schedule.over(self.pass)?;
        let frame = match self.next {
            Moment::On => over.on,
            Moment::Begin => over.begin,
            Moment::End => over.end,
            Moment::Off => over.off,
        };
        Some((frame, self.next, self.pass))
    }

    pub(crate) fn advance(&mut self) {
        self.next = match self.next {
            Moment::On => Moment::Begin,
            Moment::Begin => Moment::End,
            Moment::End => Moment::Off,
            Moment::Off => {
                self.pass += 1;
                Moment::On
            }
        };
    }

    /// Whether the moment that comes next lies within an over.
    pub(crate) fn is_keyed(&self) -> bool {
        self.next != Moment::On
    }

    /// The pass that goes on or comes next.
    pub(crate) fn pass(&self) -> u64 {
        self.pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Half a frame, however many passes there were.
        #[test]
        fn nothing_adds_up(
            rate in 8000u32..192_000,
            length in 1u64..10_000_000,
            delay in 0u64..60_000_000_000,
            pass in 0u64..100_000,
        ) {
            let schedule = Schedule::new(rate, length, delay, (0, 0), None, 100);
            let over = schedule.over(pass).unwrap();
            let exact = 100.0 + pass as f64 * (length as f64 + delay as f64 * 1e-9 * f64::from(rate));
            prop_assert!((over.begin as f64 - exact).abs() <= 0.5 + exact * 1e-12);
            prop_assert_eq!(over.end - over.begin, length);
        }
    }

    #[test]
    fn moments_in_their_order() {
        let schedule = Schedule::new(1000, 50, 100_000_000, (10, 20), Some(2), 5);
        let mut moments = Moments::from_pass(0);
        let mut all = Vec::new();
        while let Some(moment) = moments.peek(&schedule) {
            all.push(moment);
            moments.advance();
        }
        use Moment::{Begin, End, Off, On};
        assert_eq!(
            all,
            [
                (5, On, 0),
                (15, Begin, 0),
                (65, End, 0),
                (85, Off, 0),
                (155, On, 1),
                (165, Begin, 1),
                (215, End, 1),
                (235, Off, 1),
            ]
        );
    }

    #[test]
    fn any_count_has_an_end_behind_its_begin() {
        let schedule = Schedule::new(
            768_000,
            1 << 27,
            86_400_000_000_000,
            (9, 9),
            Some(u64::MAX),
            5,
        );
        let last = schedule.over(u64::MAX - 1).unwrap();
        assert!(last.on < last.begin && last.begin < last.end && last.end < last.off);
        assert!(last.begin > schedule.over(1_000_000).unwrap().off);
    }

    #[test]
    fn a_restart_counts_on() {
        let mut schedule = Schedule::new(1000, 50, 100_000_000, (10, 0), Some(3), 5);
        schedule.restart(1, 7);
        let begins = [1, 2].map(|pass| schedule.over(pass).unwrap().begin);
        assert_eq!(begins, [17, 167]);
        assert_eq!(schedule.over(3), None);
    }
}
