//! `--list`: where sound can be played, and what can key.

use std::io::Write;

use alsa::Direction;
use alsa::device_name::HintIter;

use crate::error::Error;

/// Prints a name a line, and behind a tab what ALSA or the kernel says of it.
pub(crate) fn run() -> Result<(), Error> {
    let _said = alsa::Output::local_error_handler().ok();
    let refused = |e: alsa::Error| {
        let system = std::io::Error::from_raw_os_error(e.errno());
        Error::doing("sound devices", "list", system)
    };
    let mut text = String::new();
    for hint in HintIter::new(None, c"pcm").map_err(refused)? {
        let Some(name) = hint
            .name
            .filter(|_| hint.direction != Some(Direction::Capture))
        else {
            continue;
        };
        let about = hint.desc.unwrap_or_default().replace('\n', ", ");
        text.push_str(&format!("{name}\t{about}\n"));
    }
    for port in ptt::ports().map_err(Error::NoKey)? {
        let name = port.by_id.as_ref().unwrap_or(&port.path);
        text.push_str(&format!(
            "{}\t{}\n",
            cli::diag::name(name),
            cli::diag::name(&port.description)
        ));
    }
    let mut out = cli::output::Output::stdout();
    out.write_all(text.as_bytes())
        .and_then(|()| out.finish())
        .map_err(Error::stdout)
}
