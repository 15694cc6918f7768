//! What is said before a session: HELLO, and what it comes to (PROTOCOL.md, "Opening").

use crate::Error;
use crate::layout::{Digester, Hash};
use crate::link::Link;
use crate::message::{Hello, Message, Role};
use std::fs::File;
use std::io::Read;

/// The versions of the protocol that this program speaks.
const VERSIONS: (u16, u16) = (1, 1);
/// The features that it has.
const FEATURES: u64 = 0;

/// The salts of a session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Salts {
    own: [u8; 16],
    other: [u8; 16],
}

/// Says HELLO; the answer is taken by [`Greeting::finish`], so that more can be said meanwhile.
pub(crate) fn greet(link: &Link) -> Result<Greeting, Error> {
    let mut salt = [0; 16];
    let random = File::open("/dev/urandom").and_then(|mut f| f.read_exact(&mut salt));
    random.map_err(|e| Error::Usage(format!("/dev/urandom: {}", cli::diag::system_text(&e))))?;
    link.send(Message::Hello(Hello {
        versions: VERSIONS,
        features: FEATURES,
        required: 0,
        salt,
        program: concat!("blocksync ", env!("CARGO_PKG_VERSION")).to_owned(),
    }));
    Ok(Greeting { salt })
}

/// A HELLO that was said.
pub(crate) struct Greeting {
    salt: [u8; 16],
}

impl Greeting {
    /// Takes the other side's HELLO.
    pub(crate) fn finish(self, link: &mut Link) -> Result<Salts, Error> {
        let Message::Hello(hello) = link.message()? else {
            return Err(Error::protocol("it does not begin with HELLO"));
        };
        let (lowest, highest) = hello.versions;
        if lowest > VERSIONS.1 || highest < VERSIONS.0 {
            return Err(Error::Connection(format!(
                "the other side ({}) speaks protocol {lowest} to {highest}, this one {} to {}",
                hello.program, VERSIONS.0, VERSIONS.1
            )));
        }
        let unknown = hello.required & !FEATURES;
        if unknown != 0 {
            return Err(Error::Connection(format!(
                "the other side ({}) insists on features {unknown:#x}, this one has {FEATURES:#x}",
                hello.program
            )));
        }
        Ok(Salts {
            own: self.salt,
            other: hello.salt,
        })
    }
}

impl Salts {
    /// The digester of a session in which this side is `role`.
    pub(crate) fn digester(self, hash: Hash, role: Role) -> Digester {
        match role {
            Role::Source => Digester::new(hash, &self.own, &self.other),
            Role::Sink => Digester::new(hash, &self.other, &self.own),
        }
    }
}
