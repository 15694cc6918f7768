//! Lists of what is in an archive, beside the real unzip and zipinfo.

use super::*;

#[test]
fn lists_are_those_of_unzip() {
    if !has_unzip("lists_are_those_of_unzip") {
        return;
    }
    for args in [
        &["-l", "a.zip"][..],
        &["-l", "a"],
        &["-v", "a.zip"],
        &["-lq", "a.zip"],
        &["-lqq", "a.zip"],
        &["-vq", "a.zip"],
        &["-vqq", "a.zip"],
        &["-lL", "a.zip"],
        &["-lLL", "a.zip"],
        &["-vL", "a.zip"],
        &["-z", "a.zip"],
        &["-zq", "a.zip"],
        &["-l", "a.zip", "*.txt"],
        &["-l", "a.zip", "*.txt", "-x", "read*"],
        &["-l", "a.zip", "-x", "dir/*"],
        &["-lC", "a.zip", "*.TXT"],
        &["-lW", "a.zip", "*.txt"],
        &["-lW", "a.zip", "**.txt"],
        &["-l", "a.zip", "nothing"],
        &["-l", "a.zip", "dir/[a-c]*", "?????"],
        &["-lUU", "a.zip", "d*"],
        &["-l", "-d", "elsewhere", "a.zip"],
    ] {
        same_as_unzip("unzip", args, &nothing);
    }
}

#[test]
fn zipinfo_is_that_of_unzip() {
    if !has_unzip("zipinfo_is_that_of_unzip") {
        return;
    }
    for args in [
        &["a.zip"][..],
        &["-1", "a.zip"],
        &["-2", "a.zip"],
        &["-2htz", "a.zip"],
        &["-s", "a.zip"],
        &["-m", "a.zip"],
        &["-l", "a.zip"],
        &["-v", "a.zip"],
        &["-T", "a.zip"],
        &["-lT", "a.zip"],
        &["-h", "a.zip"],
        &["-t", "a.zip"],
        &["-z", "a.zip"],
        &["-h-t", "a.zip"],
        &["-l--h", "a.zip"],
        &["a.zip", "*.txt"],
        &["-ht", "a.zip", "*.txt"],
        &["-v", "a.zip", "dir/*"],
        &["-1C", "a.zip", "*.TXT"],
        &["-1W", "a.zip", "*.txt"],
        &["a.zip", "nothing"],
        &["-1", "a.zip", "-x", "d*", "nothing"],
    ] {
        same_as_unzip("zipinfo", args, &nothing);
        let with_z: Vec<&str> = [&["-Z"], args].concat();
        same_as_unzip("unzip", &with_z, &nothing);
    }
}
