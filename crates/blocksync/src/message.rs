//! The messages of the protocol, typed (PROTOCOL.md). `encoding` turns them into the payloads of
//! frames and back; whether one may come now is for the machines.

use crate::layout::Digest;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Hello(Hello),
    Open(Open),
    Ready(Ready),
    Fail {
        status: u8,
        text: String,
    },
    Digests {
        first: u64,
        runs: Vec<DigestRun>,
    },
    Answers {
        first: u64,
        runs: Vec<(Answer, u32)>,
    },
    Pages {
        segment: u64,
        prefixes: Vec<[u8; 3]>,
    },
    Need {
        segment: u64,
        bitmap: Vec<u8>,
    },
    Data {
        segment: u64,
        is_compressed: bool,
        bytes: Vec<u8>,
    },
    Whole {
        segment: u64,
    },
    Written {
        segments: Vec<u64>,
    },
    Plan {
        is_last: bool,
        runs: Vec<(u64, u64)>,
    },
    /// Runs of segments that are to be compared last.
    Later {
        is_last: bool,
        runs: Vec<(u64, u64)>,
    },
    /// The segments below this number are finished, and on the disk.
    Synced {
        below: u64,
    },
    Again,
    Patch(Patch),
    Ping,
    End {
        root: [u8; 32],
    },
    Done {
        root: [u8; 32],
        same: u64,
        different: u64,
    },
}

/// What each peer says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) versions: (u16, u16),
    pub(crate) features: u64,
    pub(crate) required: u64,
    pub(crate) salt: [u8; 16],
    pub(crate) program: String,
}

/// What a peer is in the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Source = 1,
    Sink = 2,
}

/// What the client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) server_is: Role,
    pub(crate) check: bool,
    pub(crate) verify: bool,
    pub(crate) is_zero: bool,
    pub(crate) session: bool,
    /// The sink shall say what is on its disk (SYNCED).
    pub(crate) tell_synced: bool,
    /// LATER follows.
    pub(crate) has_later: bool,
    pub(crate) size_rule: u8,
    pub(crate) hash: u8,
    pub(crate) forced: Forced,
    pub(crate) segment: u32,
    pub(crate) size: u64,
    pub(crate) identity: [u8; 32],
    pub(crate) path: Vec<u8>,
}

/// The guards of the destination that are off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Forced {
    pub(crate) mounted: bool,
    pub(crate) swap: bool,
    /// Another device is built upon it, or someone else has it to themselves.
    pub(crate) held: bool,
}

impl Forced {
    pub(crate) const ALL: Forced = Forced {
        mounted: true,
        swap: true,
        held: true,
    };

    /// Whether any guard is off.
    pub(crate) fn any(self) -> bool {
        self != Forced::default()
    }
}

/// What the server says of its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ready {
    pub(crate) size: u64,
    pub(crate) is_zero: bool,
    pub(crate) identity: [u8; 32],
}

/// Pages of a segment that changed since the last pass; without any, the segment became zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Patch {
    pub(crate) segment: u64,
    /// Of the segment, and of the pages that are sent.
    pub(crate) digest: Digest,
    pub(crate) check: Digest,
    pub(crate) is_compressed: bool,
    pub(crate) bitmap: Vec<u8>,
    pub(crate) bytes: Vec<u8>,
}

impl Patch {
    pub(crate) fn zero(segment: u64) -> Patch {
        let (digest, check) = ([0; 16], [0; 16]);
        let (bitmap, bytes) = (Vec::new(), Vec::new());
        Patch {
            segment,
            digest,
            check,
            is_compressed: false,
            bitmap,
            bytes,
        }
    }
}

/// Neighbouring segments in DIGESTS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DigestRun {
    Zeros(u32),
    Digests(Vec<Digest>),
}

/// What the sink says to a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Same = 0,
    Refine = 1,
    All = 2,
    Differs = 3,
}
