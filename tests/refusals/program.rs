//! The real program, and an SSH server for it to connect to.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use ferryline::demo::ssh_server::{KeyPair, Options, SshServer};
use tokio::process::Command;

use crate::CONNECT_TIMEOUT;
use crate::common::write_private;

/// A server that `tester` can log in to, and the files for it.
pub(super) struct Shore {
    pub(super) folder: tempfile::TempDir,
    server: SshServer,
}

impl Shore {
    pub(super) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(super) async fn with(change: impl FnOnce(&mut Options)) -> Self {
        Self::build(None, change).await
    }

    /// A shore whose key needs this passphrase.
    pub(super) async fn encrypted(passphrase: &str) -> Self {
        Self::build(Some(passphrase), |_| {}).await
    }

    pub(super) async fn build(passphrase: Option<&str>, change: impl FnOnce(&mut Options)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pair = KeyPair::generate(passphrase).unwrap();
        let mut options = Options {
            user: "tester".to_owned(),
            authorized_keys: vec![pair.public.clone()],
            ..Options::default()
        };
        change(&mut options);
        let server = SshServer::start(options).await.unwrap();
        write_private(&folder.path().join("key"), &pair.private);
        fs::write(folder.path().join("known_hosts"), server.known_hosts()).unwrap();
        Self { folder, server }
    }

    pub(super) fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Its name in known_hosts.
    pub(super) fn name(&self) -> String {
        let address = self.server.address();
        format!("[{}]:{}", address.ip(), address.port())
    }

    /// Replaces the key by one that the server does not know.
    pub(super) fn wrong_key(&self) {
        self.key_file(&KeyPair::generate(None).unwrap().private);
    }

    pub(super) fn key_file(&self, content: &str) {
        fs::remove_file(self.file("key")).unwrap();
        write_private(&self.file("key"), content);
    }

    /// Makes `key-cert.pub` a certificate for a key that is not there (made by ssh-keygen).
    pub(super) fn certificate_of_another_key(&self) {
        fs::write(self.file("key-cert.pub"), STRAY_CERTIFICATE).unwrap();
    }

    /// Adds a program that gives this answer to all questions.
    pub(super) fn asking(&self, answer: &str) {
        use std::os::unix::fs::PermissionsExt;
        let program = self.file("askpass");
        fs::write(&program, format!("#!/bin/sh\necho {answer}\n")).unwrap();
        fs::set_permissions(program, fs::Permissions::from_mode(0o700)).unwrap();
    }

    /// The program's output when it cannot log in.
    pub(super) async fn refusal(&self, more: &[&str]) -> String {
        self.run(&[&["-L", "0:localhost:21"], more].concat()).await
    }

    pub(super) async fn run(&self, more: &[&str]) -> String {
        let address = self.server.address();
        let (key, port) = (self.file("key"), address.port().to_string());
        let ip = address.ip().to_string();
        let mut arguments = more.to_vec();
        arguments.extend(["-i", key.to_str().unwrap(), "-p", &port]);
        if !more.contains(&"-l") {
            arguments.extend(["-l", "tester"]);
        }
        arguments.push(&ip);
        run(self.folder.path(), &arguments).await
    }
}

/// The output of `ferryline forward` on its way to exit code 1. `known_hosts` and `askpass` are looked for in
/// `home`; there is no terminal, and nothing of the user's.
pub(super) async fn run(home: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ferryline"));
    let known_hosts = format!("UserKnownHostsFile={}", home.join("known_hosts").display());
    let limit = format!("ConnectTimeout={CONNECT_TIMEOUT}");
    command
        .arg("forward")
        .args([
            "-o",
            &known_hosts,
            "-o",
            "GlobalKnownHostsFile=none",
            "-o",
            &limit,
        ])
        .args(arguments)
        .env_clear()
        .env("HOME", home)
        .env("USER", "tester")
        .env("SSH_ASKPASS_REQUIRE", "force")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    // Without a program no person can be asked, also where the tests have a terminal.
    if home.join("askpass").exists() {
        command.env("SSH_ASKPASS", home.join("askpass"));
    }
    let output = command.output().await.unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(output.stdout, b"", "{output:?}");
    String::from_utf8(output.stderr)
        .unwrap()
        .trim_end()
        .to_owned()
}

/// A certificate for a key that does not exist here, by an authority that does not either.
const STRAY_CERTIFICATE: &str = "ssh-ed25519-cert-v01@openssh.com AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29tAAAAIMQ/S9B5XlgJJy+EfcilV1E2Rf3KbSCHFh2KfU7RKUCLAAAAIPMV7KGGbYDNg6NqlqoO1WulqyJKsNq7NdvoLwiCzRDOAAAAAAAAAAAAAAABAAAAAmlkAAAACgAAAAZ0ZXN0ZXIAAAAAAAAAAP//////////AAAAAAAAAIIAAAAVcGVybWl0LVgxMS1mb3J3YXJkaW5nAAAAAAAAABdwZXJtaXQtYWdlbnQtZm9yd2FyZGluZwAAAAAAAAAWcGVybWl0LXBvcnQtZm9yd2FyZGluZwAAAAAAAAAKcGVybWl0LXB0eQAAAAAAAAAOcGVybWl0LXVzZXItcmMAAAAAAAAAAAAAADMAAAALc3NoLWVkMjU1MTkAAAAgNTXawKP5tL5LhW/sCydATajD8hdQkuIUibiPgB4E66oAAABTAAAAC3NzaC1lZDI1NTE5AAAAQLkj5gFcazgk1fYstcP6BcCYWPmoqrv+6qEQV8RPHyFfklsHTpXMjB6UMkBkZnT0eesz92lqQk/JUXDd1+poBws=\n";
