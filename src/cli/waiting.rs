//! A word to a person who waits for an SSH log-in.

use std::{
    convert::Infallible,
    io::{self, IsTerminal},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use super::{Verbosity, terminal};
use crate::ssh::{Findings, Prompt, Secret};

/// Asks as another prompt does, and knows whether it has asked.
pub(super) struct Attended<P> {
    prompt: P,
    has_asked: AtomicBool,
}

impl<P> Attended<P> {
    pub(super) fn new(prompt: P) -> Self {
        Self {
            prompt,
            has_asked: AtomicBool::new(false),
        }
    }

    fn has_asked(&self) -> bool {
        self.has_asked.load(Ordering::Relaxed)
    }
}

impl<P: Prompt> Prompt for Attended<P> {
    fn secret(&self, text: &str) -> Option<Secret> {
        self.has_asked.store(true, Ordering::Relaxed);
        self.prompt.secret(text)
    }

    fn visible(&self, text: &str) -> Option<Secret> {
        self.has_asked.store(true, Ordering::Relaxed);
        self.prompt.visible(text)
    }
}

/// Runs `connecting`, and says on a terminal what it waits for, once that has taken two seconds. `connecting`
/// has made a connection to `way`, or failed to, when `is_over` says so, or at its end.
pub(super) async fn attend<P, T>(
    connecting: impl Future<Output = T>,
    way: &str,
    prompt: &Attended<P>,
    is_over: impl Fn() -> bool,
    findings: &Findings,
    verbosity: Verbosity,
) -> T {
    let told = async {
        let is_wanted = !verbosity.quiet && io::stderr().is_terminal();
        if is_wanted {
            let say = || terminal::tell(&waits_for(way, findings));
            after_a_while(UNTOLD, || prompt.has_asked() || is_over(), say).await;
        }
        std::future::pending::<Infallible>().await
    };
    tokio::select! {
        done = connecting => done,
        never = told => match never {},
    }
}

async fn after_a_while(time: Duration, is_moot: impl Fn() -> bool, say: impl FnOnce()) {
    tokio::time::sleep(time).await;
    // A person who was asked knows what is going on; and the text would stand in the answer.
    if !is_moot() {
        say();
    }
}

fn waits_for(way: &str, findings: &Findings) -> String {
    let what = match (
        findings.server_version(),
        findings.host_key(),
        findings.peer(),
    ) {
        (Some(_), Some(_), _) => "it has not finished the log-in yet",
        (Some(_), None, _) => "the key exchange is not done yet",
        (None, _, Some(_)) => "it has accepted the connection and says nothing yet",
        (None, _, None) => "it does not answer yet",
    };
    format!("waiting for {way}: {what}; Ctrl-C gives up")
}

/// How long a log-in may take before a person is told.
const UNTOLD: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    struct NoAnswer;

    impl Prompt for NoAnswer {
        fn secret(&self, _: &str) -> Option<Secret> {
            None
        }
    }

    #[tokio::test]
    async fn a_person_is_told_unless_asked() {
        for asked in [false, true] {
            let prompt = Attended::new(NoAnswer);
            if asked {
                prompt.visible("really?");
            }
            let mut told = false;
            after_a_while(Duration::ZERO, || prompt.has_asked(), || told = true).await;
            assert_eq!(told, !asked);
        }
    }

    #[test]
    fn it_says_who_is_waited_for() {
        assert_eq!(
            waits_for("me@host", &Findings::default()),
            "waiting for me@host: it does not answer yet; Ctrl-C gives up"
        );
    }
}
