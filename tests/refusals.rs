//! The ways to be refused, each for real: what the program or the client is told names the party that
//! refuses and what to do about it, and comes within the time that is allowed.
//!
//! `cargo test --test refusals -- --nocapture` prints the table.

// Helpers are outside #[test], where clippy's exemption for tests does not reach.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout
)]
#![cfg(all(unix, feature = "demo"))]

mod common;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::process::Stdio;
use std::time::Duration;

use ferryline::control::ActiveMode;
use ferryline::demo::ssh_server::{HostCertificate, KeyPair, Options, Question, SshServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::timeout;

use common::{Ferry, ScriptedClient, ScriptedServer, host_port, nobody, write_private};

/// What `-o ConnectTimeout` is set to; the way there, key exchange and log-in may each take so long.
const CONNECT_TIMEOUT: u64 = 3;
/// No row may take longer: three such times, and as much again for starting programs on a machine
/// that is busy with other tests.
const LIMIT: Duration = Duration::from_secs(6 * CONNECT_TIMEOUT);

/// One way to be refused: what is said must have the party, the remedy, and these parts.
struct Row {
    way: &'static str,
    said: Pin<Box<dyn Future<Output = String> + Send>>,
    party: &'static str,
    remedy: &'static str,
    parts: &'static [&'static str],
}

fn row(
    way: &'static str,
    party: &'static str,
    remedy: &'static str,
    parts: &'static [&'static str],
    said: impl Future<Output = String> + Send + 'static,
) -> Row {
    let said = Box::pin(said);
    Row {
        way,
        said,
        party,
        remedy,
        parts,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_names_the_party_and_the_remedy_in_time() {
    let rows: Vec<Row> = [host_keys(), log_ins(), ways_there(), forwards()]
        .into_iter()
        .flatten()
        .collect();
    let count = rows.len();
    assert!(count >= 25);
    let mut playing = JoinSet::new();
    for (number, row) in rows.into_iter().enumerate() {
        playing.spawn(async move { (number, judge(row).await) });
    }
    let mut judged = playing.join_all().await;
    judged.sort();
    println!("{count} ways to be refused\n");
    for (_, (text, _)) in &judged {
        println!("{text}\n");
    }
    let failed: Vec<_> = judged
        .into_iter()
        .filter_map(|(_, (_, failure))| failure)
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

/// The row as it is printed, and what is wrong with it.
async fn judge(row: Row) -> (String, Option<String>) {
    let Row { way, party, .. } = row;
    let Ok(said) = timeout(LIMIT, row.said).await else {
        let failure = format!("{way}: nothing was said within {LIMIT:?}");
        return (failure.clone(), Some(failure));
    };
    let text = format!("{way}\n    {said}");
    let parts = row.parts.iter().copied();
    let missing: Vec<_> = parts
        .chain([party, row.remedy])
        .filter(|part| !said.contains(part))
        .collect();
    let failure = (!missing.is_empty()).then(|| format!("{text}\n    lacks {missing:?}"));
    (text, failure)
}

fn host_keys() -> Vec<Row> {
    let party = "the SSH server";
    vec![
        row(
            "host key unknown",
            party,
            "StrictHostKeyChecking=accept-new",
            &["SHA256:", "not known"],
            async {
                let shore = Shore::new().await;
                fs::write(shore.file("known_hosts"), "").unwrap();
                shore.refusal(&[]).await
            },
        ),
        row(
            "host key changed",
            party,
            "remove that line",
            &["CHANGED", "known_hosts:2"],
            async {
                let shore = Shore::new().await;
                let other = KeyPair::generate(None).unwrap().public;
                let known = format!("# first\n{} {other}\n", shore.name());
                fs::write(shore.file("known_hosts"), known).unwrap();
                shore.refusal(&[]).await
            },
        ),
        row(
            "host key revoked",
            party,
            "ask its administrator",
            &["revoked", "known_hosts:2"],
            async {
                let shore = Shore::new().await;
                let known = fs::read_to_string(shore.file("known_hosts")).unwrap();
                fs::write(
                    shore.file("known_hosts"),
                    format!("{known}@revoked {known}"),
                )
                .unwrap();
                shore.refusal(&[]).await
            },
        ),
        row(
            "host certificate expired",
            party,
            "renew it",
            &["expired", "known_hosts:1"],
            async { certified("127.0.0.1", 1_000_000_000, false).await },
        ),
        row(
            "host certificate for another host",
            party,
            "HostKeyAlias",
            &["ftp.example.org"],
            async { certified("ftp.example.org", u64::MAX, false).await },
        ),
        row(
            "authority of the host certificate revoked",
            party,
            "ask its administrator",
            &["revoked"],
            async { certified("127.0.0.1", u64::MAX, true).await },
        ),
        row(
            "changed host key, accepted: gets no password",
            party,
            "mend known_hosts",
            &["log-in refused"],
            async {
                let shore = Shore::with(|o| o.password = Some("right".into())).await;
                let other = KeyPair::generate(None).unwrap().public;
                fs::write(
                    shore.file("known_hosts"),
                    format!("{} {other}\n", shore.name()),
                )
                .unwrap();
                shore.asking("right");
                shore.wrong_key();
                let said = shore.refusal(&["-o", "StrictHostKeyChecking=no"]).await;
                said.lines().last().unwrap().to_owned()
            },
        ),
    ]
}

fn log_ins() -> Vec<Row> {
    let party = "SSH server";
    vec![
        row(
            "key of somebody else",
            party,
            "check the user name",
            &["/key", "publickey"],
            async {
                let shore = Shore::new().await;
                shore.wrong_key();
                shore.refusal(&[]).await
            },
        ),
        row(
            "user unknown",
            party,
            "check the user name",
            &["somebody@127.0.0.1"],
            async { Shore::new().await.refusal(&["-l", "somebody"]).await },
        ),
        row(
            "password wrong",
            party,
            "check the user name and the password",
            &["password, password, password"],
            async {
                let shore = Shore::with(|o| o.password = Some("right".into())).await;
                shore.wrong_key();
                shore.asking("wrong");
                shore.refusal(&[]).await
            },
        ),
        row(
            "answers of keyboard-interactive wrong",
            party,
            "check the user name and the password",
            &["keyboard-interactive"],
            async {
                let shore = Shore::with(|o| {
                    let question = |text: &str, answer| Question {
                        text: text.to_owned(),
                        shown: false,
                        answer,
                    };
                    let first = vec![question("Password:", "both".into())];
                    o.rounds = vec![first, vec![question("Code:", "another".into())]];
                })
                .await;
                shore.wrong_key();
                shore.asking("both");
                shore.refusal(&[]).await
            },
        ),
        row(
            "password wanted, nobody to ask",
            party,
            "SSH_ASKPASS",
            &["password (none given)"],
            async {
                let shore = Shore::with(|o| o.password = Some("right".into())).await;
                shore.wrong_key();
                shore.refusal(&[]).await
            },
        ),
        row(
            "password wanted, in batch mode",
            party,
            "name a key",
            &["batch mode"],
            async {
                let shore = Shore::with(|o| o.password = Some("right".into())).await;
                shore.wrong_key();
                shore.asking("right");
                shore.refusal(&["-o", "BatchMode=yes"]).await
            },
        ),
        row(
            "password wanted besides the key",
            party,
            "check the user name and the password",
            &["password"],
            async {
                let shore = Shore::with(|o| {
                    o.password = Some("right".into());
                    o.key_first = true;
                })
                .await;
                shore.asking("wrong");
                shore.refusal(&[]).await
            },
        ),
        row(
            "more tries than the server allows",
            party,
            "check the user name and the password",
            &["no more attempts", "Too many"],
            async {
                let shore = Shore::with(|o| {
                    o.password = Some("right".into());
                    o.max_attempts = Some(2);
                })
                .await;
                shore.wrong_key();
                shore.asking("wrong");
                shore.refusal(&[]).await
            },
        ),
        row(
            "key file missing",
            party,
            "-i",
            &["/key (not usable", "No such file"],
            async {
                let shore = Shore::new().await;
                fs::remove_file(shore.file("key")).unwrap();
                shore.refusal(&[]).await
            },
        ),
        row(
            "key file that others may read",
            party,
            "chmod 600",
            &["/key", "0644"],
            async {
                use std::os::unix::fs::PermissionsExt;
                let shore = Shore::new().await;
                fs::set_permissions(shore.file("key"), fs::Permissions::from_mode(0o644)).unwrap();
                let said = shore.refusal(&[]).await;
                said.lines().last().unwrap().to_owned()
            },
        ),
        row(
            "key file that is none",
            party,
            "-i",
            &["/key", "no private key"],
            async {
                let shore = Shore::new().await;
                shore.key_file("garbage\n");
                shore.refusal(&[]).await
            },
        ),
        row(
            "key file encrypted, nobody to ask",
            party,
            "add it to an agent",
            &["/key", "passphrase"],
            async {
                let shore = Shore::encrypted("right").await;
                shore.refusal(&[]).await
            },
        ),
        row(
            "key file encrypted, passphrase wrong",
            party,
            "-i",
            &["/key (wrong passphrase)"],
            async {
                let shore = Shore::encrypted("right").await;
                shore.asking("wrong");
                shore.refusal(&[]).await
            },
        ),
        row(
            "certificate without its key",
            party,
            "name it with -i",
            &["key-cert.pub", "no private key for it"],
            async {
                let shore = Shore::new().await;
                // The key beside it is another one.
                shore.certificate_of_another_key();
                shore.wrong_key();
                shore.refusal(&[]).await
            },
        ),
        row(
            "agent not there",
            party,
            "add one to the agent",
            &["/nowhere/agent", "No such file"],
            async {
                let shore = Shore::new().await;
                shore.wrong_key();
                shore.refusal(&["-o", "IdentityAgent=/nowhere/agent"]).await
            },
        ),
    ]
}

fn ways_there() -> Vec<Row> {
    let party = "SSH server";
    let wrong_port = "wrong port?";
    vec![
        row(
            "name unknown",
            party,
            "check the name",
            &["no-such-host.invalid"],
            async { connecting("no-such-host.invalid", 22).await },
        ),
        row(
            "port closed",
            party,
            "check host, port (-p)",
            &["127.0.0.1", "refused"],
            async {
                let (_nobody, address) = nobody();
                connecting("127.0.0.1", address.port()).await
            },
        ),
        row(
            "host unreachable",
            party,
            "check host, port (-p)",
            &["255.255.255.255"],
            async { connecting("255.255.255.255", 22).await },
        ),
        row(
            "host that does not answer",
            party,
            "ConnectTimeout",
            &["did not answer within 3 s"],
            async {
                // Its queue is full, so that the system answers no more.
                let socket =
                    socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)
                        .unwrap();
                socket
                    .bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into())
                    .unwrap();
                socket.listen(0).unwrap();
                let address = socket.local_addr().unwrap().as_socket().unwrap();
                let mut waiting = Vec::new();
                while let Ok(Ok(queued)) =
                    timeout(Duration::from_millis(300), TcpStream::connect(address)).await
                {
                    waiting.push(queued);
                }
                connecting("127.0.0.1", address.port()).await
            },
        ),
        row(
            "an HTTP server",
            party,
            wrong_port,
            &["'HTTP/1.1 400 Bad Request'"],
            async { greeting(b"HTTP/1.1 400 Bad Request\r\n\r\n").await },
        ),
        row(
            "an FTP server",
            party,
            wrong_port,
            &["'220 FTP ready'", "-p is the SSH server's"],
            async { greeting(b"220 FTP ready\r\n").await },
        ),
        row(
            "an SMTP server",
            party,
            wrong_port,
            &["'220 mail ESMTP'"],
            async { greeting(b"220 mail ESMTP\r\n").await },
        ),
        row("a TLS server", party, wrong_port, &["\\x15\\x03"], async {
            greeting(b"\x15\x03\x01\x00\x02\x02\x46").await
        }),
        row(
            "a server that says nothing",
            party,
            "ConnectTimeout",
            &["within 3 s"],
            async { greeting(b"").await },
        ),
        row(
            "a server that hangs up at once",
            party,
            "its log says why",
            &["hung up"],
            async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let port = listener.local_addr().unwrap().port();
                let _serving = aborted(tokio::spawn(async move {
                    while let Ok((stream, _)) = listener.accept().await {
                        drop(stream);
                    }
                }));
                connecting("127.0.0.1", port).await
            },
        ),
        row(
            "an SSH server of protocol 1",
            party,
            wrong_port,
            &["does not answer like an SSH server"],
            async { greeting(b"SSH-1.5-old\r\n").await },
        ),
        row(
            "no algorithm in common",
            party,
            "127.0.0.1 port",
            &["rot13@example.org"],
            async { greeting(&no_common_algorithm()).await },
        ),
        row(
            "port to listen on taken",
            "ferryline",
            "choose another port",
            &["in use"],
            async {
                let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let port = taken.local_addr().unwrap().port();
                let shore = Shore::new().await;
                let forward = format!("{port}:localhost:21");
                let said = shore.run(&["-L", &forward]).await;
                assert!(said.starts_with("ferryline: "), "{said}");
                said
            },
        ),
    ]
}

fn forwards() -> Vec<Row> {
    vec![
        row(
            "no forward to the FTP server",
            "the SSH server forbids",
            "AllowTcpForwarding",
            &["421 ", "PermitOpen", "prohibited"],
            async {
                let server = ScriptedServer::new().start().await;
                let ferry = Ferry::to(server.address()).await;
                ferry
                    .ssh_server
                    .update(|faults| faults.refuse_direct = true);
                first_line(&ferry).await
            },
        ),
        row(
            "no forward to the data port",
            "the SSH server forbids",
            "PermitOpen",
            &["425 ", "has to allow 127.0.0.1:*"],
            async {
                let server = ScriptedServer::new()
                    .on("PASV", "227 Entering Passive Mode (127,0,0,1,200,1)\r\n")
                    .start()
                    .await;
                let ferry = Ferry::to(server.address()).await;
                let mut client = ScriptedClient::logged_in(ferry.v4).await;
                let address = host_port(&client.ask("PASV", "227 ").await).unwrap();
                ferry
                    .ssh_server
                    .update(|faults| faults.refuse_direct = true);
                let mut data = client.connect_data(address).await;
                // It is reset once the SSH server has said no.
                let _ = data.read(&mut [0]).await;
                client.ask("RETR f", "425 ").await
            },
        ),
        row(
            "data port closed",
            "the SSH server could not connect",
            "check host and port",
            &["425 ", "127.0.0.1:"],
            async {
                let (_nobody, closed) = nobody();
                let reply = format!(
                    "227 Entering Passive Mode ({})\r\n",
                    common::six_numbers(closed)
                );
                let server = ScriptedServer::new()
                    .on("PASV", reply.as_str())
                    .start()
                    .await;
                let ferry = Ferry::to(server.address()).await;
                let mut client = ScriptedClient::logged_in(ferry.v4).await;
                let address = host_port(&client.ask("PASV", "227 ").await).unwrap();
                let mut data = client.connect_data(address).await;
                let _ = data.read(&mut [0]).await;
                client.ask("RETR f", "425 ").await
            },
        ),
        row(
            "no remote forward",
            "the SSH server refused the remote forward",
            "AllowTcpForwarding",
            &["425 ", "PermitListen"],
            async {
                let server = ScriptedServer::new().start().await;
                let ferry = Ferry::plan(server.address())
                    .options(|options| options.active = ActiveMode::Remote)
                    .start()
                    .await;
                ferry
                    .ssh_server
                    .update(|faults| faults.refuse_forward = true);
                let mut client = ScriptedClient::logged_in(ferry.v4).await;
                client.ask("PORT 127,0,0,1,200,13", "425 ").await
            },
        ),
        row(
            "FTP port closed behind SSH",
            "FTP server 127.0.0.1:",
            "check host and port",
            &["421 ", "the SSH server could not connect"],
            async {
                let (_nobody, address) = nobody();
                first_line(&Ferry::to(address).await).await
            },
        ),
        row(
            "FTP host unknown behind SSH",
            "FTP server no-such-host.invalid:21",
            "check host and port",
            &["421 ", "the SSH server could not connect"],
            async {
                let address = "127.0.0.1:21".parse().unwrap();
                let plan = Ferry::plan(address)
                    .host("no-such-host.invalid")
                    .any_target();
                first_line(&plan.start().await).await
            },
        ),
        row(
            "FTP server that is an SSH server",
            "FTP server",
            "-L",
            &["421 ", "SSH-2.0-OpenSSH_9.2"],
            async {
                let server = ScriptedServer::new()
                    .greeting("SSH-2.0-OpenSSH_9.2\r\n")
                    .start()
                    .await;
                first_line(&Ferry::to(server.address()).await).await
            },
        ),
    ]
}

/// What a client is told first.
async fn first_line(ferry: &Ferry) -> String {
    ScriptedClient::connect(ferry.v4).await.line().await
}

/// What the program says of a server that greets so and then stays silent.
async fn greeting(said: &[u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let said = said.to_vec();
    let _serving = aborted(tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(&said).await;
            kept.push(stream);
        }
    }));
    connecting("127.0.0.1", port).await
}

/// Ends the task with the row.
fn aborted(task: tokio::task::JoinHandle<()>) -> impl Drop {
    struct Aborts(tokio::task::JoinHandle<()>);
    impl Drop for Aborts {
        fn drop(&mut self) {
            self.0.abort();
        }
    }
    Aborts(task)
}

/// What the program says when it is to log in there.
async fn connecting(host: &str, port: u16) -> String {
    let home = tempfile::tempdir().unwrap();
    let port = port.to_string();
    run(home.path(), &["-L", "0:localhost:21", "-p", &port, host]).await
}

/// A version, and an `SSH_MSG_KEXINIT` (RFC 4253 sections 4.2, 6 and 7.1) with a made-up algorithm.
fn no_common_algorithm() -> Vec<u8> {
    let mut payload = vec![20];
    payload.extend([7; 16]);
    for _ in 0..8 {
        let name = b"rot13@example.org";
        payload.extend(u32::try_from(name.len()).unwrap().to_be_bytes());
        payload.extend(name);
    }
    payload.extend([0; 2 * 4 + 1 + 4]);
    let padding = 16 - (payload.len() + 5) % 8;
    let mut packet = b"SSH-2.0-scripted\r\n".to_vec();
    let length = u32::try_from(1 + payload.len() + padding).unwrap();
    packet.extend(length.to_be_bytes());
    packet.push(u8::try_from(padding).unwrap());
    packet.extend(payload);
    packet.resize(packet.len() + padding, 0);
    packet
}

/// What the program says of a server that shows a host certificate.
async fn certified(principal: &str, valid_before: u64, revoked: bool) -> String {
    let authority = KeyPair::generate(None).unwrap();
    let shore = Shore::with(|o| {
        o.host_certificate = Some(HostCertificate {
            authority: authority.private.clone(),
            principal: principal.to_owned(),
            valid_before,
        });
    })
    .await;
    let mut known = format!("@cert-authority * {}\n", authority.public);
    if revoked {
        known.push_str(&format!("@revoked * {}\n", authority.public));
    }
    fs::write(shore.file("known_hosts"), known).unwrap();
    shore.refusal(&[]).await
}

/// A server that lets `tester` in, and the files for it.
struct Shore {
    folder: tempfile::TempDir,
    server: SshServer,
}

impl Shore {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Options)) -> Self {
        Self::build(None, change).await
    }

    /// With a key that needs this passphrase.
    async fn encrypted(passphrase: &str) -> Self {
        Self::build(Some(passphrase), |_| {}).await
    }

    async fn build(passphrase: Option<&str>, change: impl FnOnce(&mut Options)) -> Self {
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

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// As it stands in known_hosts.
    fn name(&self) -> String {
        let address = self.server.address();
        format!("[{}]:{}", address.ip(), address.port())
    }

    /// The key is another one than the server knows.
    fn wrong_key(&self) {
        self.key_file(&KeyPair::generate(None).unwrap().private);
    }

    fn key_file(&self, content: &str) {
        fs::remove_file(self.file("key")).unwrap();
        write_private(&self.file("key"), content);
    }

    /// `key-cert.pub` is one for a key that is not there (made by ssh-keygen).
    fn certificate_of_another_key(&self) {
        fs::write(self.file("key-cert.pub"), STRAY_CERTIFICATE).unwrap();
    }

    /// There is a program that answers all questions so.
    fn asking(&self, answer: &str) {
        use std::os::unix::fs::PermissionsExt;
        let program = self.file("askpass");
        fs::write(&program, format!("#!/bin/sh\necho {answer}\n")).unwrap();
        fs::set_permissions(program, fs::Permissions::from_mode(0o700)).unwrap();
    }

    /// What the program says that does not get in.
    async fn refusal(&self, more: &[&str]) -> String {
        self.run(&[&["-L", "0:localhost:21"], more].concat()).await
    }

    async fn run(&self, more: &[&str]) -> String {
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

/// What `ferryline forward` says on its way to exit code 1. `known_hosts` and `askpass` are looked
/// for in `home`; there is no terminal, and nothing of the user's.
async fn run(home: &Path, arguments: &[&str]) -> String {
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
    // Without a program nobody can be asked, also where the tests have a terminal.
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

/// For a key that is nowhere, by an authority that is nowhere.
const STRAY_CERTIFICATE: &str = "ssh-ed25519-cert-v01@openssh.com AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29tAAAAIMQ/S9B5XlgJJy+EfcilV1E2Rf3KbSCHFh2KfU7RKUCLAAAAIPMV7KGGbYDNg6NqlqoO1WulqyJKsNq7NdvoLwiCzRDOAAAAAAAAAAAAAAABAAAAAmlkAAAACgAAAAZ0ZXN0ZXIAAAAAAAAAAP//////////AAAAAAAAAIIAAAAVcGVybWl0LVgxMS1mb3J3YXJkaW5nAAAAAAAAABdwZXJtaXQtYWdlbnQtZm9yd2FyZGluZwAAAAAAAAAWcGVybWl0LXBvcnQtZm9yd2FyZGluZwAAAAAAAAAKcGVybWl0LXB0eQAAAAAAAAAOcGVybWl0LXVzZXItcmMAAAAAAAAAAAAAADMAAAALc3NoLWVkMjU1MTkAAAAgNTXawKP5tL5LhW/sCydATajD8hdQkuIUibiPgB4E66oAAABTAAAAC3NzaC1lZDI1NTE5AAAAQLkj5gFcazgk1fYstcP6BcCYWPmoqrv+6qEQV8RPHyFfklsHTpXMjB6UMkBkZnT0eesz92lqQk/JUXDd1+poBws=\n";
