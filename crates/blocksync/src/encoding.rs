//! Messages as the payloads of frames (PROTOCOL.md), and back. Decoding checks the form of a message.

use crate::Error;
use crate::frame::Type;
use crate::message::{Answer, DigestRun, Forced, Hello, Message, Open, Patch, Ready, Role};

impl Message {
    /// The type and the payload, in two parts so that data is not copied.
    pub(crate) fn encode(&self) -> (Type, Vec<u8>, &[u8]) {
        let mut out = Vec::new();
        let mut body: &[u8] = &[];
        let kind = match self {
            Message::Hello(hello) => {
                out.extend(hello.versions.0.to_le_bytes());
                out.extend(hello.versions.1.to_le_bytes());
                out.extend(hello.features.to_le_bytes());
                out.extend(hello.required.to_le_bytes());
                out.extend(hello.salt);
                body = hello.program.as_bytes();
                Type::Hello
            }
            Message::Open(open) => {
                let flags = u8::from(open.check)
                    | (u8::from(open.verify) << 1)
                    | (u8::from(open.is_zero) << 2)
                    | (u8::from(open.session) << 3)
                    | (u8::from(open.tell_synced) << 4)
                    | (u8::from(open.has_later) << 5);
                let forced = u8::from(open.forced.mounted)
                    | (u8::from(open.forced.swap) << 1)
                    | (u8::from(open.forced.held) << 2);
                out.extend([open.server_is as u8, flags, open.size_rule, open.hash]);
                out.extend([forced, 0, 0, 0]);
                out.extend(open.segment.to_le_bytes());
                out.extend(open.size.to_le_bytes());
                out.extend(open.identity);
                body = &open.path;
                Type::Open
            }
            Message::Ready(ready) => {
                out.extend(ready.size.to_le_bytes());
                out.extend([u8::from(ready.is_zero), 0, 0, 0, 0, 0, 0, 0]);
                out.extend(ready.identity);
                Type::Ready
            }
            Message::Fail { status, text } => {
                out.push(*status);
                body = text.as_bytes();
                Type::Fail
            }
            Message::Digests { first, runs } => {
                out.extend(first.to_le_bytes());
                for run in runs {
                    match run {
                        DigestRun::Zeros(count) => {
                            out.push(0);
                            out.extend(count.to_le_bytes());
                        }
                        DigestRun::Digests(digests) => {
                            out.push(1);
                            out.extend((digests.len() as u16).to_le_bytes());
                            out.extend(digests.as_flattened());
                        }
                    }
                }
                Type::Digests
            }
            Message::Answers { first, runs } => {
                out.extend(first.to_le_bytes());
                for (answer, count) in runs {
                    out.push(*answer as u8);
                    out.extend(count.to_le_bytes());
                }
                Type::Answers
            }
            Message::Pages { segment, prefixes } => {
                out.extend(segment.to_le_bytes());
                body = prefixes.as_flattened();
                Type::Pages
            }
            Message::Need { segment, bitmap } => {
                out.extend(segment.to_le_bytes());
                body = bitmap;
                Type::Need
            }
            Message::Data {
                segment,
                is_compressed,
                bytes,
            } => {
                out.extend(segment.to_le_bytes());
                out.push(u8::from(*is_compressed));
                body = bytes;
                Type::Data
            }
            Message::Whole { segment } => {
                out.extend(segment.to_le_bytes());
                Type::Whole
            }
            Message::Written { segments } => {
                segments.iter().for_each(|s| out.extend(s.to_le_bytes()));
                Type::Written
            }
            Message::Plan { is_last, runs } => {
                put_runs(*is_last, runs, &mut out);
                Type::Plan
            }
            Message::Later { is_last, runs } => {
                put_runs(*is_last, runs, &mut out);
                Type::Later
            }
            Message::Synced { below } => {
                out.extend(below.to_le_bytes());
                Type::Synced
            }
            Message::Again => Type::Again,
            Message::Patch(patch) => {
                out.extend(patch.segment.to_le_bytes());
                out.extend(patch.digest);
                out.extend(patch.check);
                out.push(u8::from(patch.is_compressed));
                out.extend((patch.bitmap.len() as u16).to_le_bytes());
                out.extend(&patch.bitmap);
                body = &patch.bytes;
                Type::Patch
            }
            Message::Ping => Type::Ping,
            Message::End { root } => {
                out.extend(root);
                Type::End
            }
            Message::Done {
                root,
                same,
                different,
            } => {
                out.extend(root);
                out.extend(same.to_le_bytes());
                out.extend(different.to_le_bytes());
                Type::Done
            }
        };
        (kind, out, body)
    }

    /// The message in a payload whose length is one that the type may have.
    pub(crate) fn decode(kind: Type, payload: Vec<u8>) -> Result<Message, Error> {
        let mut rest = Fields(&payload);
        let message = match kind {
            Type::Hello => Message::Hello(Hello {
                versions: (rest.u16()?, rest.u16()?),
                features: rest.u64()?,
                required: rest.u64()?,
                salt: rest.array()?,
                program: rest.text(),
            }),
            Type::Open => Message::Open(open(&mut rest)?),
            Type::Ready => {
                let (size, [is_zero, zeros @ ..]) = (rest.u64()?, rest.array::<8>()?);
                require(zeros == [0; 7])?;
                Message::Ready(Ready {
                    size,
                    is_zero: flag(is_zero)?,
                    identity: rest.array()?,
                })
            }
            Type::Fail => {
                let [status] = rest.array()?;
                Message::Fail {
                    status,
                    text: rest.text(),
                }
            }
            Type::Digests => digests(&mut rest)?,
            Type::Answers => answers(&mut rest)?,
            Type::Pages => {
                let segment = rest.u64()?;
                let (prefixes, odd) = rest.0.as_chunks::<3>();
                require(odd.is_empty())?;
                let prefixes = prefixes.to_vec();
                rest.0 = &[];
                Message::Pages { segment, prefixes }
            }
            Type::Need => Message::Need {
                segment: rest.u64()?,
                bitmap: rest.all().to_vec(),
            },
            Type::Data => {
                let (segment, [encoding]) = (rest.u64()?, rest.array()?);
                let is_compressed = flag(encoding)?;
                let mut bytes = payload;
                bytes.drain(..9);
                return Ok(Message::Data {
                    segment,
                    is_compressed,
                    bytes,
                });
            }
            Type::Whole => Message::Whole {
                segment: rest.u64()?,
            },
            Type::Written => {
                let mut segments = Vec::new();
                while !rest.0.is_empty() {
                    segments.push(rest.u64()?);
                }
                Message::Written { segments }
            }
            Type::Plan => {
                let (is_last, runs) = runs(&mut rest)?;
                Message::Plan { is_last, runs }
            }
            Type::Later => {
                let (is_last, runs) = runs(&mut rest)?;
                Message::Later { is_last, runs }
            }
            Type::Synced => Message::Synced { below: rest.u64()? },
            Type::Again => Message::Again,
            Type::Patch => {
                let (segment, digest, check) = (rest.u64()?, rest.array()?, rest.array()?);
                let [encoding] = rest.array()?;
                let length = usize::from(rest.u16()?);
                let bitmap = rest.take(length)?.to_vec();
                let bytes = rest.all().to_vec();
                let is_compressed = flag(encoding)?;
                Message::Patch(Patch {
                    segment,
                    digest,
                    check,
                    is_compressed,
                    bitmap,
                    bytes,
                })
            }
            Type::Ping => Message::Ping,
            Type::End => Message::End {
                root: rest.array()?,
            },
            Type::Done => Message::Done {
                root: rest.array()?,
                same: rest.u64()?,
                different: rest.u64()?,
            },
        };
        require(rest.0.is_empty())?;
        Ok(message)
    }
}

fn put_runs(is_last: bool, runs: &[(u64, u64)], out: &mut Vec<u8>) {
    out.push(u8::from(is_last));
    for (place, count) in runs {
        out.extend(place.to_le_bytes());
        out.extend(count.to_le_bytes());
    }
}

/// Whether these are the last ones, and place and count of each.
fn runs(rest: &mut Fields) -> Result<(bool, Vec<(u64, u64)>), Error> {
    let [is_last] = rest.array()?;
    let mut runs = Vec::new();
    while !rest.0.is_empty() {
        runs.push((rest.u64()?, rest.u64()?));
    }
    Ok((flag(is_last)?, runs))
}

fn open(rest: &mut Fields) -> Result<Open, Error> {
    let [role, flags, size_rule, hash, forced, zeros @ ..] = rest.array::<8>()?;
    require(zeros == [0; 3] && flags < 64 && forced < 8)?;
    let open = Open {
        server_is: match role {
            1 => Role::Source,
            2 => Role::Sink,
            _ => return Err(malformed()),
        },
        check: flags & 1 != 0,
        verify: flags & 2 != 0,
        is_zero: flags & 4 != 0,
        session: flags & 8 != 0,
        tell_synced: flags & 16 != 0,
        has_later: flags & 32 != 0,
        size_rule,
        hash,
        forced: Forced {
            mounted: forced & 1 != 0,
            swap: forced & 2 != 0,
            held: forced & 4 != 0,
        },
        segment: rest.u32()?,
        size: rest.u64()?,
        identity: rest.array()?,
        path: rest.all().to_vec(),
    };
    require(!open.path.contains(&0))?;
    Ok(open)
}

fn digests(rest: &mut Fields) -> Result<Message, Error> {
    let first = rest.u64()?;
    let mut runs = Vec::new();
    while let [tag, tail @ ..] = rest.0 {
        rest.0 = tail;
        runs.push(match tag {
            0 => DigestRun::Zeros(rest.u32()?),
            1 => {
                let count = usize::from(rest.u16()?);
                let (digests, _) = rest.take(count * 16)?.as_chunks::<16>();
                DigestRun::Digests(digests.to_vec())
            }
            _ => return Err(malformed()),
        });
    }
    Ok(Message::Digests { first, runs })
}

fn answers(rest: &mut Fields) -> Result<Message, Error> {
    let first = rest.u64()?;
    let mut runs = Vec::new();
    while let [tag, tail @ ..] = rest.0 {
        rest.0 = tail;
        let answer = match tag {
            0 => Answer::Same,
            1 => Answer::Refine,
            2 => Answer::All,
            3 => Answer::Differs,
            _ => return Err(malformed()),
        };
        runs.push((answer, rest.u32()?));
    }
    Ok(Message::Answers { first, runs })
}

/// The fields of a payload that were not taken yet.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Error> {
        let (head, tail) = self.0.split_at_checked(len).ok_or_else(malformed)?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (head, tail) = self.0.split_first_chunk().ok_or_else(malformed)?;
        self.0 = tail;
        Ok(*head)
    }

    fn u16(&mut self) -> Result<u16, Error> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Error> {
        self.array().map(u64::from_le_bytes)
    }

    fn all(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn text(&mut self) -> String {
        String::from_utf8_lossy(self.all()).into_owned()
    }
}

fn flag(byte: u8) -> Result<bool, Error> {
    require(byte <= 1)?;
    Ok(byte == 1)
}

fn require(holds: bool) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(malformed()) }
}

fn malformed() -> Error {
    Error::protocol("a message has a wrong form")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message() -> impl Strategy<Value = Message> {
        let bytes = || prop::collection::vec(any::<u8>(), 1..50);
        let run = prop_oneof![
            any::<u32>().prop_map(DigestRun::Zeros),
            prop::collection::vec(any::<[u8; 16]>(), 0..9).prop_map(DigestRun::Digests),
        ];
        let answer = prop_oneof![
            Just(Answer::Same),
            Just(Answer::Refine),
            Just(Answer::All),
            Just(Answer::Differs)
        ];
        let answers = prop::collection::vec((answer, any::<u32>()), 1..9);
        prop_oneof![
            (any::<(u16, u16)>(), any::<u64>(), any::<[u8; 16]>()).prop_map(|(v, f, salt)| {
                let program = "blocksync 0".to_owned();
                Message::Hello(Hello {
                    versions: v,
                    features: f,
                    required: f,
                    salt,
                    program,
                })
            }),
            (
                any::<(bool, bool, (bool, bool, bool), u8)>(),
                any::<(u32, u64)>(),
                any::<[u8; 32]>()
            )
                .prop_map(
                    |((check, verify, (mounted, swap, held), hash), (segment, size), identity)| {
                        let (server_is, size_rule) = (Role::Sink, hash);
                        let path = b"/dev/x".to_vec();
                        Message::Open(Open {
                            server_is,
                            check,
                            verify,
                            is_zero: check,
                            session: verify,
                            tell_synced: mounted,
                            has_later: held,
                            size_rule,
                            hash,
                            forced: Forced {
                                mounted,
                                swap,
                                held,
                            },
                            segment,
                            size,
                            identity,
                            path,
                        })
                    }
                ),
            (any::<u64>(), any::<bool>(), any::<[u8; 32]>()).prop_map(
                |(size, is_zero, identity)| {
                    Message::Ready(Ready {
                        size,
                        is_zero,
                        identity,
                    })
                }
            ),
            (any::<u64>(), prop::collection::vec(run, 1..5))
                .prop_map(|(first, runs)| Message::Digests { first, runs }),
            (any::<u64>(), answers).prop_map(|(first, runs)| Message::Answers { first, runs }),
            (
                any::<u64>(),
                prop::collection::vec(any::<[u8; 3]>(), 1..300)
            )
                .prop_map(|(segment, prefixes)| Message::Pages { segment, prefixes }),
            (any::<u64>(), bytes()).prop_map(|(segment, bitmap)| Message::Need { segment, bitmap }),
            (any::<u64>(), any::<bool>(), bytes()).prop_map(|(segment, is_compressed, bytes)| {
                Message::Data {
                    segment,
                    is_compressed,
                    bytes,
                }
            }),
            prop::collection::vec(any::<u64>(), 1..64)
                .prop_map(|s| Message::Written { segments: s }),
            (
                any::<bool>(),
                prop::collection::vec(any::<(u64, u64)>(), 0..9)
            )
                .prop_map(|(is_last, runs)| Message::Plan { is_last, runs }),
            any::<[(u64, u64); 3]>().prop_map(|runs| Message::Later {
                is_last: true,
                runs: runs.to_vec()
            }),
            any::<u64>().prop_map(|below| Message::Synced { below }),
            (any::<(u64, [u8; 16], [u8; 16], bool)>(), bytes(), bytes()).prop_map(
                |((segment, digest, check, is_compressed), bitmap, bytes)| {
                    Message::Patch(Patch {
                        segment,
                        digest,
                        check,
                        is_compressed,
                        bitmap,
                        bytes,
                    })
                }
            ),
            any::<([u8; 32], u64, u64)>().prop_map(|(root, same, different)| Message::Done {
                root,
                same,
                different
            }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(message in message()) {
            let (kind, head, body) = message.encode();
            let payload = [&head, body].concat();
            prop_assert_eq!(Message::decode(kind, payload).unwrap(), message);
        }

        #[test]
        fn what_decodes_encodes_to_the_same(
            message in message(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in 0..9usize,
        ) {
            let (kind, head, body) = message.encode();
            let mut payload = [&head, body].concat();
            let at = at.index(payload.len());
            payload[at] = byte;
            payload.truncate(payload.len() - cut.min(payload.len()));
            if let Ok(message) = Message::decode(kind, payload.clone()) {
                let (again, head, body) = message.encode();
                prop_assert_eq!(again, kind);
                // Text is shown, not compared: what is not UTF-8 is replaced in it.
                if !matches!(message, Message::Hello(_) | Message::Fail { .. }) {
                    prop_assert_eq!([&head, body].concat(), payload);
                }
            }
        }
    }
}
