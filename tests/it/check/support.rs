//! `ferryline check` of an FTP server behind the embedded SSH server, and what it prints.

use std::net::SocketAddr;

use crate::common::{Answer, Ended, Script, ScriptedServer, Shore, answer, run, write_private};

const PASSWORD: &str = "hunter2-and-more";

/// A check of an FTP server behind the embedded SSH server.
pub struct Check {
    pub shore: Shore,
    pub target: String,
}

impl Check {
    pub async fn of(address: SocketAddr) -> Self {
        let shore = Shore::new().await;
        write_private(&shore.home().join("password"), &format!("{PASSWORD}\n"));
        let target = format!("localhost:{}", address.port());
        Self { shore, target }
    }

    /// Runs `check` with these arguments, followed by those that lead to the server.
    pub async fn run(&self, more: &[&str]) -> Ended {
        // A free port: several checks run at once.
        let forward = format!("0:{}", self.target);
        let mut before = vec!["-L", &forward];
        before.extend(more);
        let mut arguments = self.shore.arguments(&before);
        arguments[0] = "check".to_owned();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let ended = run(self.shore.home(), &arguments).await;
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(!said.contains(PASSWORD), "{said}");
        assert!(!said.contains('\x1b'), "no terminal, no colours: {said}");
        ended
    }

    /// Runs `check` with this `-L`.
    pub async fn listening(&self, forward: &str) -> Ended {
        let mut arguments = self.shore.arguments(&["-L", forward]);
        arguments[0] = "check".to_owned();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        run(self.shore.home(), &arguments).await
    }

    /// Runs `check` with a log-in as well.
    pub async fn with_user(&self, more: &[&str]) -> Ended {
        let mut all = vec!["--ftp-user", "demo", "--ftp-password-file", "password"];
        all.extend(more);
        self.run(&all).await
    }
}

/// The line of a step, without its mark; it must have this mark.
pub fn step<'a>(ended: &'a Ended, mark: char, name: &str) -> &'a str {
    let start = format!("{mark} {name} ");
    let line = ended.stdout.lines().find(|line| line.starts_with(&start));
    let line = line.unwrap_or_else(|| panic!("no '{start}' in:\n{}", ended.stdout));
    line[start.len()..].trim_start()
}

/// The remedy under a step that failed, or that has a warning.
pub fn remedy<'a>(ended: &'a Ended, name: &str) -> &'a str {
    let start = format!("{name} ");
    let mut lines = ended.stdout.lines();
    lines
        .find(|line| {
            let line = line.strip_prefix(['✗', '!']);
            line.is_some_and(|line| line.trim_start().starts_with(&start))
        })
        .unwrap_or_else(|| panic!("'{name}' did not fail:\n{}", ended.stdout));
    let line = lines.next().unwrap_or_default().trim_start();
    line.strip_prefix("→ ")
        .unwrap_or_else(|| panic!("no remedy under '{start}':\n{}", ended.stdout))
}

pub fn summary(ended: &Ended) -> &str {
    ended.stdout.lines().last().unwrap()
}

/// What an ordinary server does at a LIST.
pub fn lists() -> Script {
    ScriptedServer::new().on("LIST", lists_once())
}

pub fn lists_once() -> Answer {
    let begun = answer().send("150 here\r\n");
    begun.data("a file\r\n").send("226 done\r\n")
}
