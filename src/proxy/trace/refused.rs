//! The last command of a client that was refused, for the line at the end of its session.

/// Pairs a client's commands with the refusals that it gets, as far as that is certain.
#[derive(Debug, Default)]
pub(super) struct LastRefused {
    /// The client's last command, until it is answered.
    asked: Option<String>,
    /// Number of commands that have had no final reply.
    unanswered: u32,
    /// The last refusal, behind the command that it answers.
    told: Option<String>,
}

impl LastRefused {
    /// Notes a command of the client, which may be shown like this.
    pub(super) fn command(&mut self, shown: impl FnOnce() -> String) {
        self.unanswered = self.unanswered.saturating_add(1);
        // Behind an unanswered command, the next reply may be for either.
        self.asked = (self.unanswered == 1).then(shown);
    }

    /// Notes a line that the client gets, which may be shown like this.
    pub(super) fn reply(&mut self, line: &[u8], shown: impl FnOnce() -> String) {
        let [class @ b'2'..=b'5', b'0'..=b'9', b'0'..=b'9', b' ', ..] = line else {
            return;
        };
        self.unanswered = self.unanswered.saturating_sub(1);
        let asked = self.asked.take();
        if matches!(class, b'4' | b'5') {
            self.told = Some(match asked {
                Some(command) => format!("{command}: {}", shown()),
                None => shown(),
            });
        }
    }

    /// The last refusal, behind the command that it answers.
    pub(super) fn told(&self) -> Option<&str> {
        self.told.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The last refusal of a session of these lines: `C` a command, `S` a reply.
    fn told(lines: &[&str]) -> Option<String> {
        let mut last = LastRefused::default();
        for line in lines {
            match line.split_once(' ') {
                Some(("C", text)) => last.command(|| text.to_owned()),
                Some((_, text)) => last.reply(text.as_bytes(), || text.to_owned()),
                None => panic!("{line}"),
            }
        }
        last.told().map(str::to_owned)
    }

    #[test]
    fn a_refusal_is_told_behind_its_command() {
        let lines = ["S 220 hi", "C SIZE x", "S 550-no", "S 550 No such file"];
        assert_eq!(told(&lines).unwrap(), "SIZE x: 550 No such file");
        let lines = ["C SIZE x", "S 550 no", "C PWD", "S 257 \"/\""];
        assert_eq!(told(&lines).unwrap(), "SIZE x: 550 no");
        assert_eq!(told(&["C PWD", "S 257 \"/\"", "C QUIT", "S 221 bye"]), None);
    }

    #[test]
    fn a_refusal_that_may_be_for_another_command_is_told_alone() {
        let lines = ["C CWD a", "C SIZE x", "S 250 ok", "S 550 no"];
        assert_eq!(told(&lines).unwrap(), "550 no");
        let lines = ["C CWD a", "C SIZE x", "S 550 none", "S 213 5"];
        assert_eq!(told(&lines).unwrap(), "550 none");
        // A 1xx answers nothing for good.
        let lines = ["C RETR x", "S 150 here", "S 426 cut"];
        assert_eq!(told(&lines).unwrap(), "RETR x: 426 cut");
    }
}
