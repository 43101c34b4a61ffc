//! The fuzz targets as ordinary tests: their very bodies (`fuzz/bodies`) over the stored corpus
//! (`fixtures/corpus`), and over a bounded number of inputs that are made up from it. The numbers come from a
//! fixed seed, so each run is the same. `fuzz/README.md` says how to fuzz for longer.

#[path = "../../fuzz/bodies/mod.rs"]
mod bodies;

use std::{fs, path::Path};

use bodies::Dice;

/// The greatest length of an input that is made up.
const LONGEST: usize = 600;

#[test]
fn codec() {
    run("codec", bodies::codec::run, 300);
}

#[test]
fn command() {
    run("command", bodies::command::run, 3000);
}

#[test]
fn reply() {
    run("reply", bodies::reply::run, 3000);
}

#[test]
fn session() {
    run("session", bodies::session::run, 2000);
}

#[test]
fn transcript() {
    run("transcript", bodies::transcript::run, 2000);
}

/// Checks the stored inputs of a target, and `more` made-up ones.
fn run(target: &str, body: fn(&[u8]), more: usize) {
    let corpus = corpus(target);
    for (name, input) in &corpus {
        let _named = Named { name, input };
        body(input);
    }
    let mut dice = Dice::new(20_261_120);
    for number in 0..more {
        let input = made_up(&corpus, &mut dice);
        let name = &format!("number {number}");
        let _named = Named {
            name,
            input: &input,
        };
        body(&input);
    }
}

/// The stored inputs of a target, by name.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/corpus")
        .join(target);
    let mut inputs: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read(&path).unwrap())
        })
        .collect();
    inputs.sort();
    assert!(inputs.len() > 10, "{}: {}", folder.display(), inputs.len());
    inputs
}

/// The beginning of one input and the end of another, with a few bytes changed.
fn made_up(corpus: &[(String, Vec<u8>)], dice: &mut Dice) -> Vec<u8> {
    let (_, one) = &corpus[dice.below(corpus.len())];
    let (_, other) = &corpus[dice.below(corpus.len())];
    let mut input = one[..dice.below(one.len() + 1)].to_vec();
    input.extend_from_slice(&other[dice.below(other.len() + 1)..]);
    input.truncate(LONGEST);
    for _ in 0..dice.below(4) {
        let at = dice.below(input.len() + 1);
        let byte = dice.throw().to_le_bytes()[0];
        match dice.below(3) {
            0 => input.insert(at, byte),
            1 if at < input.len() => input[at] = byte,
            _ if at < input.len() => {
                input.remove(at);
            }
            _ => {}
        }
    }
    input
}

/// Names the input when its check fails.
struct Named<'a> {
    name: &'a str,
    input: &'a [u8],
}

impl Drop for Named<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}: b\"{}\"", self.name, self.input.escape_ascii());
        }
    }
}
