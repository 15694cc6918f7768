//! What the fuzz targets of unzip-cjk call. Tools are binaries, so their modules are taken in by path.
//!
//! `cargo fuzz run --features libfuzzer zip_archive` in this folder's parent runs a target; `cargo test`
//! here runs each with bytes of a generator, which shows that they still build.

#![allow(dead_code, unreachable_pub)]

const TOOL: &str = "unzip-cjk";

#[path = "../../../crates/unzip-cjk/src/archive.rs"]
mod archive;
#[path = "../../../crates/unzip-cjk/src/args.rs"]
mod args;
#[path = "../../../crates/unzip-cjk/src/ask.rs"]
mod ask;
#[path = "../../../crates/unzip-cjk/src/attributes.rs"]
mod attributes;
#[path = "../../../crates/unzip-cjk/src/clock.rs"]
mod clock;
#[path = "../../../crates/unzip-cjk/src/cover.rs"]
mod cover;
#[path = "../../../crates/unzip-cjk/src/decode.rs"]
mod decode;
#[path = "../../../crates/unzip-cjk/src/deferred.rs"]
mod deferred;
#[path = "../../../crates/unzip-cjk/src/directory.rs"]
mod directory;
#[path = "../../../crates/unzip-cjk/src/existing.rs"]
mod existing;
#[path = "../../../crates/unzip-cjk/src/extra.rs"]
mod extra;
#[path = "../../../crates/unzip-cjk/src/extract.rs"]
mod extract;
#[path = "../../../crates/unzip-cjk/src/guess.rs"]
mod guess;
#[path = "../../../crates/unzip-cjk/src/job.rs"]
mod job;
#[path = "../../../crates/unzip-cjk/src/list.rs"]
mod list;
#[path = "../../../crates/unzip-cjk/src/local.rs"]
mod local;
#[path = "../../../crates/unzip-cjk/src/locate.rs"]
mod locate;
#[path = "../../../crates/unzip-cjk/src/method.rs"]
mod method;
#[path = "../../../crates/unzip-cjk/src/naming.rs"]
mod naming;
#[path = "../../../crates/unzip-cjk/src/output.rs"]
mod output;
#[path = "../../../crates/unzip-cjk/src/password.rs"]
mod password;
#[path = "../../../crates/unzip-cjk/src/path.rs"]
mod path;
#[path = "../../../crates/unzip-cjk/src/pattern.rs"]
mod pattern;
#[path = "../../../crates/unzip-cjk/src/place.rs"]
mod place;
#[path = "../../../crates/unzip-cjk/src/plan.rs"]
mod plan;
#[path = "../../../crates/unzip-cjk/src/pool.rs"]
mod pool;
#[path = "../../../crates/unzip-cjk/src/report.rs"]
mod report;
#[path = "../../../crates/unzip-cjk/src/say.rs"]
mod say;
#[path = "../../../crates/unzip-cjk/src/select.rs"]
mod select;
#[path = "../../../crates/unzip-cjk/src/session.rs"]
mod session;
#[path = "../../../crates/unzip-cjk/src/stamp.rs"]
mod stamp;
#[path = "../../../crates/unzip-cjk/src/status.rs"]
mod status;
#[path = "../../../crates/unzip-cjk/src/target.rs"]
mod target;
#[path = "../../../crates/unzip-cjk/src/text.rs"]
mod text;
#[path = "../../../crates/unzip-cjk/src/unicode_path.rs"]
mod unicode_path;
#[path = "../../../crates/unzip-cjk/src/zipinfo.rs"]
mod zipinfo;
#[path = "../../../crates/unzip-cjk/src/zipinfo_args.rs"]
mod zipinfo_args;
#[path = "../../../crates/unzip-cjk/src/zipinfo_extra.rs"]
mod zipinfo_extra;
#[path = "../../../crates/unzip-cjk/src/zipinfo_long.rs"]
mod zipinfo_long;

#[path = "../../../crates/unzip-cjk/src"]
mod unzip_cjk {
    pub(crate) mod names;
}
use unzip_cjk::names;

use std::io::Write;
use std::path::Path;

/// End record, directory, names, local headers, and the data of each entry.
pub fn zip_archive(data: &[u8]) {
    let Ok(mut file) = tempfile::tempfile() else { return };
    if file.write_all(data).is_err() {
        return;
    }
    let Ok(archive) = archive::Archive::new(file, Path::new("fuzz.zip")) else { return };
    let Ok(Some(mut end)) = archive::End::find(&archive, true) else { return };
    let _ = end.widen(&archive);
    let Ok(mut read) = directory::Directory::read(&archive, end.directory_offset, end.directory_size)
    else {
        return;
    };
    naming::name(&mut read.entries, &args::Options::default());
    let mut headers = local::Headers::new(&archive);
    let mut scratch = decode::Scratch::new();
    for entry in read.entries.iter().take(4) {
        let _ = attributes::attributes(entry, 0o022);
        let Ok(local) = headers.read(entry, entry.offset) else { continue };
        if local.size > 1 << 20 {
            continue;
        }
        let job = job::Job {
            method: entry.inner_method(),
            streamed: false,
            password: Some((*b"p").into()),
            destination: None,
            aside: false,
            begun: None,
            local,
        };
        let mut size = 0;
        let _ = job.decode(&archive, &mut scratch, &mut |data| {
            size += data.len() as u64;
            Ok(())
        });
        assert!(size <= job.local.size.max(job.local.packed), "more than declared");
    }
}

/// Extra fields.
pub fn zip_extra(data: &[u8]) {
    let total: usize = extra::blocks(data).map(|(_, block)| block.len() + 4).sum();
    assert!(total <= data.len());
    let _ = extra::unix(data, data.len() % 2 == 0, 0x5821_0000);
    let _ = extra::ntfs(data);
    let _ = unicode_path::resolved(data, b"name", false);
}

/// Names: decoded, and cut into components that lead nowhere else.
pub fn zip_names(data: &[u8]) {
    let mut entries: Vec<directory::Entry> = data
        .split(|b| *b == b'\n')
        .take(20)
        .map(|name| directory::Entry {
            raw_name: name.to_vec(),
            ..directory::Entry::default()
        })
        .collect();
    let options = args::Options::default();
    naming::name(&mut entries, &options);
    for entry in &entries {
        let mapped = path::map(&entry.name, &options, data);
        for part in mapped.folders.iter().chain([&mapped.file]) {
            assert!(part != b"." && part != b".." && part.len() <= 255);
            assert!(!part.contains(&b'/') && !part.contains(&0));
        }
    }
}

/// Patterns of members.
pub fn zip_pattern(data: &[u8]) {
    let (pattern, name) = data.split_at(data.len() / 2);
    for bits in 0..4 {
        let rules = pattern::Rules {
            ignore_case: bits & 1 != 0,
            stop_at_slash: bits & 2 != 0,
        };
        let _ = pattern::Pattern::new(pattern, rules).matches(name);
    }
    let all = pattern::Pattern::new(b"*", pattern::Rules::default());
    assert!(all.matches(name));
}
