//! The sizes of files, as far as the control connection has told.

use ferryline_grammar::{Command, Verb};

/// The sizes of files, as far as the control connection has told.
#[derive(Default)]
pub(crate) struct Sizes {
    /// The name of the last SIZE, until it is answered.
    asked: Option<Vec<u8>>,
    /// A name, and the size of its file.
    told: Option<(Vec<u8>, u64)>,
    /// The size in the last 150, or of the last ALLO.
    next: Option<u64>,
}

impl Sizes {
    /// Notes a command of the client.
    pub(crate) fn asked(&mut self, command: &Command<'_>) {
        match command.verb {
            Verb::Size => self.asked = Some(command.argument.to_vec()),
            Verb::Allo => self.next = number_in(command.argument),
            _ => {}
        }
    }

    /// Notes a 213, or a 150 that names the size, as many do: `150 … (1234 bytes)`.
    pub(crate) fn told(&mut self, line: &[u8]) {
        let text = line.get(4..).unwrap_or_default();
        if line.starts_with(b"213") {
            self.told = self.asked.take().zip(number_in(text));
            return;
        }
        let open = text.iter().rposition(|byte| *byte == b'(');
        let inside = open.and_then(|at| text.get(at + 1..));
        let names_bytes = |text: &&[u8]| text.windows(6).any(|word| word == b" bytes");
        if let Some(size) = inside.filter(names_bytes).and_then(number_in) {
            self.next = Some(size);
        }
    }

    /// The size of the file that this command moves; a list has none.
    pub(crate) fn of(&self, command: &[u8]) -> Option<u64> {
        let command = Command::parse(command)?;
        let told = self
            .told
            .as_ref()
            .filter(|(name, _)| name == command.argument);
        match command.verb {
            Verb::Retr => self.next.or_else(|| told.map(|(_, size)| *size)),
            Verb::Stor => self.next,
            _ => None,
        }
    }

    /// Notes that a transfer is over.
    pub(crate) fn over(&mut self) {
        self.next = None;
    }
}

/// The number at the beginning of a text.
fn number_in(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii();
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(text.get(..digits)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(lines: &[&str], command: &str) -> Option<u64> {
        let mut sizes = Sizes::default();
        for line in lines {
            match line.as_bytes().first().is_some_and(u8::is_ascii_digit) {
                true => sizes.told(line.as_bytes()),
                false => sizes.asked(&Command::parse(line.as_bytes()).unwrap()),
            }
        }
        sizes.of(command.as_bytes())
    }

    #[test]
    fn a_size_is_what_the_peers_have_said_of_this_file() {
        for (lines, command, expected) in [
            (&["SIZE a", "213 12"][..], "RETR a", Some(12)),
            (&["SIZE a", "213 12"], "RETR b", None),
            (&["213 20260101000000"], "RETR a", None),
            (&["150 Opening for a (99 bytes)."], "RETR a", Some(99)),
            (
                &["SIZE a", "213 12", "150 here (12 bytes)"],
                "RETR a",
                Some(12),
            ),
            (&["150 a (copy 2)"], "RETR a", None),
            (&["ALLO 500"], "STOR a", Some(500)),
            (&["ALLO 500"], "LIST", None),
            (&["150 here comes the list (9 bytes)"], "LIST", None),
        ] {
            assert_eq!(size(lines, command), expected, "{lines:?} {command}");
        }
    }
}
