//! How the house is built: which part may name which, and that there is a test for each promise of
//! SECURITY.md. The compiler does not check these, and a reader of the layout relies on them.
//!
//! A binary of its own: it reads the sources and links nothing, so a new rule is tried without linking `it`.

// Helpers are outside #[test], where clippy's exemption for tests does not reach.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    unreachable_pub
)]

mod documents;
mod imports;

use std::fs;
use std::path::{Path, PathBuf};

use imports::Folder;

/// Folders whose modules import each other in no circle.
const WITHOUT_CIRCLES: [&str; 32] = [
    "grammar/src",
    "src/audit",
    "src/check",
    "src/cli",
    "src/cli/serve",
    "src/cli/ssh_config",
    "src/control",
    "src/control/machine",
    "src/control/queue",
    "src/demo",
    "src/demo/ssh_server",
    "src/ftp_client",
    "src/monitor",
    "src/proxy",
    "src/proxy/data",
    "src/proxy/io",
    "src/proxy/policy",
    "src/proxy/servers",
    "src/proxy/trace",
    "src/serve",
    "src/ssh",
    "src/ssh/auth",
    "src/ssh/connection",
    "src/ssh/dial",
    "src/ssh/lanes",
    "src/ssh/prompt",
    "src/ssh/session",
    "src/ssh/settings",
    "src/ssh/transport",
    "src/ssh/trust",
    "src/top",
    "src/transcript",
];

#[test]
fn the_protocol_core_knows_neither_tokio_nor_russh() {
    let mut found = Vec::new();
    for file in sources(&["grammar/src", "src/control"]) {
        for (number, line) in code(&file) {
            let line = line.replace("tokio_util::codec", "");
            for name in ["tokio", "russh"] {
                if names(&line, name) {
                    found.push(format!("{}:{number}: {name}", file.display()));
                }
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The grammar frames lines; the state machine is handed whole lines. (Its tests put bytes through the codec,
/// as a driver does.)
#[test]
fn the_state_machine_knows_no_codec() {
    let mut found = Vec::new();
    for file in sources(&["src/control"]) {
        if file.starts_with("src/control/tests") {
            continue;
        }
        for (number, line) in code(&file) {
            if names(&line, "tokio_util") {
                found.push(format!("{}:{number}", file.display()));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn russh_is_named_by_the_ssh_layer_and_the_demos_ssh_server_only() {
    let mut found = Vec::new();
    let mut allowed = 0;
    for file in sources(&["src", "grammar", "tests", "benches"]) {
        let lines = code(&file);
        let naming = lines.iter().filter(|(_, line)| names(line, "russh"));
        let naming: Vec<_> = naming.map(|(number, _)| *number).collect();
        let path = file.to_str().unwrap();
        if path.starts_with("src/ssh/") || path.starts_with("src/demo/ssh_server") {
            allowed += naming.len();
            continue;
        }
        found.extend(naming.iter().map(|number| format!("{path}:{number}")));
    }
    assert!(allowed > 0, "the search finds nothing at all");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// `cli` → {`check`, `top`, `serve`, `audit`} → `monitor` → `proxy` → {`transcript` → `control` → grammar, `ssh`}: no part names one above it, or one beside
/// it.
#[test]
fn dependencies_point_one_way() {
    let below_proxy = ["src/ssh", "src/transcript", "src/control", "grammar/src"];
    let below_check = [&below_proxy[..], &["src/proxy", "src/ftp_client"]].concat();
    let mut found = Vec::new();
    for (folders, above) in [
        (&["src/ssh"][..], &["control", "transcript"][..]),
        (&["src/control", "grammar/src"], &["ssh", "transcript"]),
        (&["src/transcript"], &["ssh"]),
        (&below_proxy, &["proxy", "ftp_client"]),
        (&below_check, &["check", "audit", "monitor", "serve", "top"]),
        (
            &["src/monitor"],
            &["audit", "check", "ftp_client", "serve", "top"],
        ),
        // These four stand beside each other.
        (&["src/check"], &["audit", "monitor", "serve", "top"]),
        (&["src/serve"], &["audit", "check", "ftp_client", "top"]),
        (&["src/top"], &["audit", "check", "ftp_client", "serve"]),
        (
            &["src/audit"],
            &[
                "check",
                "monitor",
                "serve",
                "top",
                "transcript",
                "ftp_client",
            ],
        ),
        (
            &[
                &below_check[..],
                &[
                    "src/check",
                    "src/monitor",
                    "src/serve",
                    "src/audit",
                    "src/top",
                ],
            ]
            .concat(),
            &["cli"],
        ),
        (
            &[
                "src/check",
                "src/ftp_client",
                "src/monitor",
                "src/serve",
                "src/audit",
                "src/top",
            ],
            &["demo"],
        ),
    ] {
        for file in sources(folders) {
            for (number, line) in code(&file) {
                let named = above.iter().filter(|name| names(&line, name));
                found.extend(named.map(|name| format!("{}:{number}: {name}", file.display())));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn no_modules_of_one_folder_import_each_other() {
    let mut found = Vec::new();
    for folder in WITHOUT_CIRCLES {
        found.extend(folder_of(folder).circles());
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The fields of a type are private to its module, so what changes them stands there or below.
#[test]
fn each_impl_stands_in_the_module_of_its_type() {
    let mut found = Vec::new();
    for folder in ["src", "grammar/src"] {
        let files: Vec<(PathBuf, String)> = sources(&[folder])
            .into_iter()
            .map(|file| (file.clone(), text(&file)))
            .collect();
        found.extend(strays(&files));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn unsafe_code_is_forbidden_everywhere() {
    let manifest = text(Path::new("Cargo.toml"));
    assert!(manifest.contains("unsafe_code = \"forbid\""));
    for manifest in ["Cargo.toml", "grammar/Cargo.toml"] {
        let lints = text(Path::new(manifest));
        let (_, lints) = lints.split_once("[lints]").expect("a [lints] section");
        assert!(
            lints.trim_start().starts_with("workspace = true"),
            "{manifest}"
        );
    }
}

/// Each promise names the test that fails without it. A name may be cut short with `…`.
#[test]
fn each_test_that_security_md_names_exists() {
    let files = sources(&["src", "tests", "grammar", "fuzz"]);
    let tests: String = files.iter().map(|file| text(file)).collect();
    let cells: String = interop().iter().map(|file| text(file)).collect();
    let exists = |named: &str| match named.strip_suffix(".rs") {
        Some(_) => files.iter().any(|file| file.ends_with(named)),
        None if named.starts_with("tests/") => top().join(named).is_dir(),
        // A folder of unit tests, or a cell of the suite.
        None if named.contains('/') => {
            let cell = named.rsplit('/').next().unwrap_or_default();
            top().join("src").join(named).is_dir() || cells.contains(cell.trim_matches(['*', '…']))
        }
        None => tests.contains(&format!("fn {}", named.trim_end_matches('…'))),
    };
    let security = text(Path::new("SECURITY.md"));
    let rows = security.lines().filter(|line| line.starts_with("| "));
    let named: Vec<&str> = rows
        .filter_map(|row| row.split(" | ").nth(1))
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    assert!(named.len() > 100, "the search finds nothing: {named:?}");
    let missing: Vec<_> = named.iter().filter(|named| !exists(named)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The fuzz targets are built by hand only: nothing else would show that a module is missing there.
#[test]
fn the_fuzzers_library_has_every_module_that_its_sources_name() {
    let lean = text(Path::new("fuzz/lean/lib.rs"));
    let mut missing = Vec::new();
    for file in sources(&["src/control", "src/transcript"]) {
        if file.starts_with("src/control/tests") {
            continue;
        }
        for (number, line) in code(&file) {
            for path in line.split("crate::").skip(1) {
                let end = path.find(|c: char| !c.is_alphanumeric() && c != '_');
                let module = &path[..end.unwrap_or(path.len())];
                if !module.is_empty() && !lean.contains(&format!("mod {module};")) {
                    missing.push(format!("{}:{number}: {module}", file.display()));
                }
            }
        }
    }
    assert!(lean.contains("mod control;"));
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn the_search_itself_finds_what_it_is_for() {
    for line in [
        "use krate::client;",
        "    let x: krate::Channel = y;",
        "use krate;",
        "(krate::Error)",
    ] {
        assert!(names(line, "krate"), "{line}");
    }
    for line in [
        "my_krate::x",
        "\"krate::Channel\"",
        "krates::x",
        "krate_util::x",
    ] {
        assert!(!names(line, "krate"), "{line}");
    }
}

#[test]
fn the_search_for_stray_impls_finds_them() {
    let stray = |files: [(&str, &str); 2]| {
        let files = files.map(|(file, text)| (PathBuf::from(file), text.to_owned()));
        strays(&files)
    };
    let defined = ("src/pond/mod.rs", "pub(super) struct Frog<T> {\n");
    assert_eq!(
        stray([defined, ("src/pond/legs.rs", "impl<T> Frog<T> {\n")]),
        [""; 0]
    );
    assert_eq!(
        stray([defined, ("src/shore.rs", "impl Frog<u8> {\n")]),
        ["src/shore.rs: impl Frog"]
    );
    assert_eq!(
        stray([
            ("src/frog.rs", "enum Frog {\n"),
            ("src/frog/legs.rs", "impl Frog {\n")
        ]),
        [""; 0]
    );
    assert_eq!(
        stray([
            ("src/frog.rs", "enum Frog {\n"),
            ("src/toad.rs", "impl Frog {\n")
        ]),
        ["src/toad.rs: impl Frog"]
    );
}

#[test]
fn the_search_for_circles_finds_them() {
    let circles = |root: &str, files: [(&str, &str); 3]| {
        let path = vec!["pond".to_owned()];
        let files = files.map(|(name, text)| {
            let module = name.split('/').map(str::to_owned);
            let module = [&path[..], &module.collect::<Vec<_>>()].concat();
            (module, format!("{name}.rs"), text.to_owned())
        });
        let root = root.to_owned();
        let files = files.into();
        Folder { path, root, files }.circles()
    };
    let direct = [
        ("frog", "use super::reed::{self, Stem};"),
        ("reed", "\nfn of() -> crate::pond::frog::Frog {}"),
        ("mud", ""),
    ];
    assert_eq!(
        circles("", direct),
        ["frog → reed → frog (frog.rs:1, reed.rs:2)"]
    );
    // By a name that the folder re-exports, and from a module further down.
    let passed_on = [
        ("frog", "use super::{Pond, Stem};"),
        ("reed/leaf", "use super::super::mud::Depth;"),
        ("mud", "use crate::{sky::Rain, pond::frog::Leap as Frog};"),
    ];
    assert_eq!(
        circles("pub use reed::{leaf::Leaf, Blade as Stem};", passed_on),
        ["frog → reed → mud → frog (frog.rs:1, reed/leaf.rs:1, mud.rs:1)"]
    );
    let none = [
        ("frog", "use super::reed::Stem;\n// use super::mud::Depth;"),
        ("reed", "use super::Pond;\nuse crate::sky::frog::Frog;"),
        (
            "mud",
            "use super::frog;\n#[cfg(test)]\nmod tests {\n    use super::super::mud;\n}",
        ),
    ];
    assert_eq!(circles("use frog::Frog;", none), [""; 0]);
    let in_tests = [
        ("frog", "use super::reed::Stem;"),
        (
            "reed",
            "#[cfg(test)]\nmod tests {\n    use crate::pond::frog::Frog;\n}",
        ),
        ("tests", "use super::frog;"),
    ];
    let root = "mod frog;\nmod reed;\n#[cfg(test)]\nmod tests;\nuse tests::Frog;";
    assert_eq!(circles(root, in_tests), [""; 0]);
}

/// The `impl` blocks of types that these files define, but not in the same module or one above it.
fn strays(files: &[(PathBuf, String)]) -> Vec<String> {
    let module = |file: &Path| match file.file_stem().and_then(|stem| stem.to_str()) {
        Some("mod" | "lib" | "main") => file.parent().unwrap().to_owned(),
        _ => file.with_extension(""),
    };
    let named = |line: &str, keywords: &[&str]| {
        let line = match line.strip_prefix("pub") {
            Some(rest) => rest
                .split_once(") ")
                .map_or(rest, |(_, rest)| rest)
                .trim_start(),
            None => line,
        };
        let rest = keywords.iter().find_map(|word| line.strip_prefix(word))?;
        // The parameters of an `impl`.
        let rest = match rest.strip_prefix('<') {
            Some(rest) => rest.split_once("> ").map_or(rest, |(_, rest)| rest),
            None => rest,
        };
        let name = rest
            .trim_start()
            .split(|c: char| !c.is_alphanumeric() && c != '_');
        name.map(str::to_owned)
            .next()
            .filter(|name| !name.is_empty())
    };
    let lines = || {
        files
            .iter()
            .flat_map(|(file, text)| text.lines().map(move |line| (file, line)))
    };
    let defined: Vec<(String, PathBuf)> = lines()
        .filter_map(|(file, line)| {
            let name = named(line, &["struct ", "enum "])?;
            Some((name, module(file)))
        })
        .collect();
    lines()
        .filter(|(_, line)| !line.contains(" for "))
        .filter_map(|(file, line)| Some((file, named(line, &["impl"])?)))
        .filter(|(file, name)| {
            let mut homes = defined
                .iter()
                .filter(|(defined, _)| defined == name)
                .peekable();
            homes.peek().is_some() && !homes.any(|(_, home)| module(file).starts_with(home))
        })
        .map(|(file, name)| format!("{}: impl {name}", file.display()))
        .collect()
}

/// The modules of a folder.
fn folder_of(folder: &str) -> Folder {
    let names = |path: &Path| -> Vec<String> {
        let inside = path
            .components()
            .skip_while(|part| part.as_os_str() != "src");
        let inside: PathBuf = inside.skip(1).collect();
        let inside = inside.with_extension("");
        let parts = inside.components();
        parts
            .map(|part| part.as_os_str().to_str().unwrap().to_owned())
            .filter(|part| part != "mod")
            .collect()
    };
    let path = Path::new(folder);
    let root = [
        path.join("mod.rs"),
        path.join("lib.rs"),
        path.with_extension("rs"),
    ];
    let root = root.iter().find(|file| top().join(file).is_file());
    let root = root.unwrap_or_else(|| panic!("{folder} has no mod.rs"));
    let files = sources(&[folder]).into_iter().filter(|file| file != root);
    Folder {
        path: names(path),
        root: text(root),
        files: files
            .map(|file| (names(&file), file.display().to_string(), text(&file)))
            .collect(),
    }
}

/// The Rust files below these folders, as paths from the top of the repository. A folder that does not exist
/// has none.
fn sources(folders: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = folders.iter().map(PathBuf::from).collect();
    while let Some(folder) = open.pop() {
        let Ok(entries) = fs::read_dir(top().join(&folder)) else {
            continue;
        };
        for entry in entries {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no source in {folders:?}");
    found
}

/// The modules of the suite with real software.
fn interop() -> Vec<PathBuf> {
    let folder = Path::new("tests/interop");
    let entries = fs::read_dir(top().join(folder)).expect("the suite");
    let names = entries.map(|entry| folder.join(entry.unwrap().file_name()));
    names
        .filter(|name| name.extension().is_some_and(|extension| extension == "py"))
        .collect()
}

/// The lines that are not comments, with their numbers. The contents of strings stay in.
fn code(file: &Path) -> Vec<(usize, String)> {
    let text = text(file);
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(index, line)| (index + 1, line.to_owned()))
        .collect()
}

/// Whether a line uses something of this crate: `name::`, or the whole crate (`use name;`).
fn names(line: &str, name: &str) -> bool {
    let mut rest = line;
    while let Some(at) = rest.find(name) {
        let before = rest[..at].chars().next_back();
        let after = &rest[at + name.len()..];
        let whole = !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '"');
        if whole && (after.starts_with("::") || after.starts_with(';')) {
            return true;
        }
        rest = after;
    }
    false
}

fn text(file: &Path) -> String {
    fs::read_to_string(top().join(file)).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
