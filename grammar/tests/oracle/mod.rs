//! `ftp.abnf` as a generator of sentences and as a judge of them.

// Each test uses a part of this; what tests build themselves may be unwrapped and indexed.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::sync::LazyLock;

use abnf_oracle::{CheckedGrammar, GenOptions, Generator, Grammar, Recognizer};

/// The text of the grammar.
pub const SOURCE: &str = include_str!("../../ftp.abnf");

/// The grammar, checked.
pub static GRAMMAR: LazyLock<CheckedGrammar> = LazyLock::new(|| {
    let grammar = Grammar::parse(SOURCE).expect("valid ABNF");
    grammar.check().expect("whole")
});

/// The rules that tests begin from; between them they reach every rule there is.
pub const STARTS: &[&str] = &[
    "auth-command",
    "blank-line",
    "command",
    "command-line",
    "dead-host-port",
    "epsv-command",
    "eprt-command",
    "eprt-foreign",
    "any-six",
    "extended-passive-reply",
    "family-reply",
    "feat-reply",
    "fields",
    "fields-text",
    "first-line",
    "grid-command",
    "long-command",
    "long-passive-reply",
    "numbers-text",
    "odd-eol",
    "odd-first-line",
    "odd-single-line",
    "pasv-command",
    "passive-reply",
    "port-command",
    "rendered-227",
    "rendered-229",
    "rendered-refusal",
    "rendered-reply",
    "reply",
    "secret-command",
    "signed-host-port",
    "single-line",
    "standard-command",
    "standard-reply",
    "stray-line",
    "telnet",
    "telnet-text",
    "three-with-host",
    "three-with-port",
    "verb",
    "written-eprt",
    "written-epsv",
    "written-pasv",
    "written-port",
];

/// How many sentences are generated from a rule on top of those that cover it.
const GENERATED: usize = 250;

/// Sentences of `rule`, every alternative that it reaches among them.
pub fn sentences(rule: &str) -> Vec<Vec<u8>> {
    let mut sentences = Vec::new();
    let mut covering = Generator::new(&GRAMMAR, 1).with_options(GenOptions {
        coverage: true,
        ..GenOptions::default()
    });
    // Each call covers at least one alternative that was not.
    for _ in 0..covering.uncovered(rule).expect("generates") {
        sentences.push(bytes(&covering.generate(rule).expect("generates")));
    }
    assert_eq!(covering.uncovered(rule), Ok(0), "alternatives of {rule}");
    let mut random = Generator::new(&GRAMMAR, 1);
    for _ in 0..GENERATED {
        sentences.push(bytes(&random.generate(rule).expect("generates")));
    }
    sentences
}

/// The sentence of `rule` that goes with this number.
pub fn sentence(rule: &str, seed: u64) -> Vec<u8> {
    bytes(
        &Generator::new(&GRAMMAR, seed)
            .generate(rule)
            .expect("generates"),
    )
}

/// Whether `rule` matches these bytes.
pub fn accepts(rule: &str, bytes: &[u8]) -> bool {
    Judge::new(bytes).ends(rule, 0).contains(&bytes.len())
}

/// Decides about one text.
pub struct Judge {
    text: String,
}

impl Judge {
    /// The crate thinks in characters: a byte is the one of its number.
    pub fn new(bytes: &[u8]) -> Self {
        Self {
            text: bytes.iter().copied().map(char::from).collect(),
        }
    }

    /// Where a match of `rule` that begins at `start` may end.
    pub fn ends(&self, rule: &str, start: usize) -> Vec<usize> {
        let ends = Recognizer::new(&GRAMMAR, &self.text).end_positions(rule, start);
        ends.expect("decidable").into_iter().collect()
    }

    /// Whether a match of `rule` begins at `start`.
    pub fn begins(&self, rule: &str, start: usize) -> bool {
        !self.ends(rule, start).is_empty()
    }
}

fn bytes(text: &str) -> Vec<u8> {
    text.chars()
        .map(|c| u8::try_from(c).expect("a byte"))
        .collect()
}
