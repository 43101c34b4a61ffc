//! What a line says, by kind of event. The keys come in the order of the fields.

use std::sync::Arc;

use ferryline_grammar::{Command, TransferDirection, Verb, masked, masked_reply};
use serde::Serialize;

use super::{
    path, stamp,
    text::{CUT, NAME, REPLY, digits, escaped, from_printable},
};
use crate::{
    control::{DataCommand, DataCommands, REPORTED},
    proxy::{Outcome, SessionEnd, SessionFacts, Transferred},
    ssh::ServerFacts,
};

/// Number of bytes of a host, a tunnel or a reason that are kept.
const SHORT: usize = 1024;

/// What a line says.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(super) enum Record {
    /// The file was opened.
    Begin(Begin),
    /// A client was not served.
    ClientRefused(ClientRefused),
    /// The record was closed in order.
    End(End),
    /// The FTP server has accepted a log-in.
    LogIn(LogIn),
    /// The FTP server has refused a log-in.
    LogInRefused(LogInRefused),
    /// Lines are missing here.
    LostLines(LostLines),
    /// A session is over.
    SessionEnd(Box<Ended>),
    /// An SSH connection is lost.
    SshLost(SshLost),
    /// An SSH connection is up.
    SshUp(SshUp),
    /// A transfer is over.
    Transfer(Box<Transfer>),
}

impl Record {
    /// As a JSON object.
    pub(super) fn said(&self) -> String {
        // Serialising fails only where a key is no string, or where a value says so.
        serde_json::to_string(self).unwrap_or_else(|_| "{\"event\":\"unknown\"}".to_owned())
    }
}

/// A part of the file before this line that is no whole line, because the program or the disk ended in it.
#[derive(Debug, Serialize)]
pub(super) struct Unfinished {
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Begin {
    /// `start` or `reopened`.
    pub(super) why: &'static str,
    pub(super) version: &'static str,
    pub(super) host: Option<String>,
    pub(super) process: u32,
    pub(super) unfinished: Option<Unfinished>,
}

#[derive(Debug, Serialize)]
pub(super) struct End {
    /// Number of lines about strangers that were left out since the last such line.
    pub(super) left_out: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct LostLines {
    pub(super) lines: u64,
    /// When the first of them was due.
    pub(super) since: Option<String>,
    pub(super) unfinished: Option<Unfinished>,
}

/// Who takes part in a session.
#[derive(Debug, Serialize)]
pub(super) struct Session {
    tunnel: String,
    session: u64,
    client: String,
    local_user: Option<u32>,
    ftp_user: Option<String>,
    ftp_server: String,
    #[serde(flatten)]
    ssh: Ssh,
}

/// An SSH server, and what proved who is who.
#[derive(Debug, Default, Serialize)]
pub(super) struct Ssh {
    ssh_server: Option<String>,
    ssh_user: Option<String>,
    ssh_key: Option<String>,
    host_key: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct LogIn {
    #[serde(flatten)]
    session: Session,
}

#[derive(Debug, Serialize)]
pub(super) struct LogInRefused {
    #[serde(flatten)]
    session: Session,
    reply: String,
    left_out: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct ClientRefused {
    tunnel: String,
    client: String,
    reason: String,
    left_out: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Ended {
    #[serde(flatten)]
    session: Session,
    logged_in: bool,
    reason: String,
    seconds: f64,
    transfers: u64,
    failed: u64,
    bytes_to_client: u64,
    bytes_from_client: u64,
    left_out: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct SshUp {
    #[serde(flatten)]
    ssh: Ssh,
    ssh_address: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct SshLost {
    #[serde(flatten)]
    ssh: Ssh,
    reason: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Transfer {
    #[serde(flatten)]
    session: Session,
    command: Option<String>,
    argument: Option<String>,
    directory: Option<String>,
    path: Option<String>,
    r#type: Option<char>,
    offset: Option<u64>,
    client_mode: Option<&'static str>,
    server_mode: Option<&'static str>,
    carried: Option<String>,
    direction: Option<&'static str>,
    /// Over the data connection.
    bytes: u64,
    seconds: f64,
    sha256: Option<String>,
    sha256_of: Option<&'static str>,
    result: &'static str,
    reply: Option<String>,
    left_out: u64,
}

impl Begin {
    pub(super) fn new(why: &'static str, unfinished: Option<Unfinished>) -> Self {
        Self {
            why,
            version: env!("CARGO_PKG_VERSION"),
            host: host(),
            process: std::process::id(),
            unfinished,
        }
    }
}

impl Session {
    /// `user`: the FTP user, as the log shows it.
    pub(super) fn new(facts: &SessionFacts, user: Option<&str>) -> Self {
        Self {
            tunnel: short(&facts.tunnel),
            session: facts.number,
            client: facts.peer.to_string(),
            local_user: facts.local_user,
            ftp_user: user.map(from_printable),
            ftp_server: short(&facts.server),
            ssh: match &facts.ssh_server {
                Some(server) => Ssh::new(server),
                None => Ssh {
                    ssh_server: Some(short(&facts.ssh)),
                    ..Ssh::default()
                },
            },
        }
    }
}

impl Ssh {
    pub(super) fn new(server: &ServerFacts) -> Self {
        Self {
            ssh_server: Some(short(&server.server)),
            ssh_user: Some(short(&server.user)),
            ssh_key: server.key.clone(),
            host_key: server.host_key.clone(),
        }
    }
}

impl LogIn {
    pub(super) fn new(facts: &SessionFacts, user: &str) -> Self {
        Self {
            session: Session::new(facts, Some(user)),
        }
    }
}

impl LogInRefused {
    pub(super) fn new(facts: &SessionFacts, user: &str, reply: &str, left_out: u64) -> Self {
        Self {
            session: Session::new(facts, Some(user)),
            reply: from_printable(reply),
            left_out,
        }
    }
}

impl ClientRefused {
    pub(super) fn new(
        tunnel: &Arc<str>,
        peer: std::net::SocketAddr,
        reason: &str,
        left_out: u64,
    ) -> Self {
        Self {
            tunnel: short(tunnel),
            client: peer.to_string(),
            reason: short(reason),
            left_out,
        }
    }
}

impl Ended {
    pub(super) fn new(facts: &SessionFacts, end: &SessionEnd<'_>, left_out: u64) -> Self {
        Self {
            session: Session::new(facts, end.user),
            logged_in: end.logged_in,
            reason: from_printable(end.reason),
            seconds: stamp::seconds(end.time),
            transfers: end.transfers,
            failed: end.failed,
            bytes_to_client: end.moved.to_client,
            bytes_from_client: end.moved.to_server,
            left_out,
        }
    }
}

impl SshUp {
    pub(super) fn new(server: &ServerFacts) -> Self {
        Self {
            ssh: Ssh::new(server),
            ssh_address: server.address.map(|address| address.to_string()),
        }
    }
}

impl SshLost {
    pub(super) fn new(server: &ServerFacts, reason: &str) -> Self {
        Self {
            ssh: Ssh::new(server),
            reason: short(reason),
        }
    }
}

impl Transfer {
    pub(super) fn new(facts: &SessionFacts, transfer: &Transferred<'_>, left_out: u64) -> Self {
        let report = transfer.report;
        let line = masked(&report.command);
        let command = Command::parse(&line);
        let verb = command.as_ref().map(|command| command.verb);
        let file = report.parameters.as_ref();
        let directory = file.and_then(|file| file.directory.as_ref());
        let name = |bytes: &[u8]| escaped(bytes, NAME);
        let is_whole = report.command.len() < REPORTED;
        let path = command
            .as_ref()
            .filter(|_| is_whole)
            .and_then(|command| path::of(command.verb, command.argument, directory));
        Self {
            session: Session::new(facts, transfer.user),
            command: command
                .as_ref()
                .map(|command| escaped(command.keyword, SHORT).to_ascii_uppercase()),
            argument: command
                .as_ref()
                .map(|command| command.argument.trim_ascii())
                .filter(|argument| !argument.is_empty())
                .map(|argument| match is_whole {
                    true => name(argument),
                    false => name(argument) + CUT,
                }),
            directory: directory.map(|directory| name(directory)),
            path: path.map(|path| name(&path)),
            r#type: file.map(|file| char::from(file.representation)),
            offset: file.map(|file| file.offset),
            client_mode: report.asked_by.map(|asked| mode(asked.client)),
            server_mode: report.asked_by.map(|asked| mode(asked.server)),
            carried: report.asked_by.map(carried),
            direction: verb.map(direction),
            bytes: transfer.moved.bytes(),
            seconds: stamp::seconds(transfer.time),
            sha256: transfer.sha256.as_ref().map(digits),
            sha256_of: transfer.sha256.map(|_| match is_of_file(verb, transfer) {
                true => "file",
                false => "wire",
            }),
            result: match transfer.outcome {
                Outcome::Complete => "complete",
                Outcome::Cut => "cut",
                Outcome::Refused => "refused",
            },
            reply: report
                .answer
                .as_deref()
                .map(|line| escaped(&masked_reply(line.trim_ascii()), REPLY)),
            left_out,
        }
    }
}

/// Where a command moves data to, as the client sees it.
fn direction(verb: Verb) -> &'static str {
    match verb.transfer() {
        Some(TransferDirection::Upload) => "upload",
        _ => "download",
    }
}

/// Whether what moved over the data connection was the whole file, byte for byte.
fn is_of_file(verb: Option<Verb>, transfer: &Transferred<'_>) -> bool {
    let is_whole = matches!(verb, Some(Verb::Retr | Verb::Stor | Verb::Stou));
    let file = transfer.report.parameters.as_ref();
    // Of the TYPEs, I is bytes, and so is L where a byte has eight bits, which all machines of today have.
    let as_it_is = file.is_some_and(|file| {
        matches!(file.representation, b'I' | b'L') && file.offset == 0 && file.plain
    });
    is_whole && as_it_is && transfer.outcome == Outcome::Complete
}

fn mode(command: DataCommand) -> &'static str {
    match command {
        DataCommand::Eprt => "EPRT",
        DataCommand::Epsv => "EPSV",
        DataCommand::Pasv => "PASV",
        DataCommand::Port => "PORT",
    }
}

/// How a data connection was asked for on the two sides, in words.
fn carried(asked: DataCommands) -> String {
    let DataCommands { client, server } = asked;
    let is_active = |command| matches!(command, DataCommand::Eprt | DataCommand::Port);
    match (is_active(client), is_active(server)) {
        _ if client == server => "as asked".to_owned(),
        (true, false) => format!("{client} carried as passive"),
        _ => format!("{client}\u{2192}{server}"),
    }
}

/// The name of this host.
fn host() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name.or_else(|| std::env::var("HOSTNAME").ok());
    name.map(|name| short(name.trim()))
}

fn short(text: &str) -> String {
    escaped(text.as_bytes(), SHORT)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use bytes::Bytes;

    use super::*;
    use crate::{
        control::{FileParameters, TransferReport},
        proxy::Moved,
    };

    fn facts() -> SessionFacts {
        SessionFacts {
            number: 7,
            tunnel: "erp".into(),
            peer: "127.0.0.1:4000".parse().unwrap(),
            local_user: Some(1000),
            server: "localhost:21".into(),
            ssh: "me@ssh.example".into(),
            ssh_server: Some(Arc::new(ServerFacts {
                server: "ssh.example:22".into(),
                address: None,
                user: "me".into(),
                key: Some("SHA256:k".into()),
                host_key: Some("SHA256:h".into()),
            })),
            began: SystemTime::UNIX_EPOCH,
        }
    }

    fn parameters() -> FileParameters {
        FileParameters {
            directory: Some(Bytes::from("/in")),
            representation: b'I',
            offset: 0,
            plain: true,
        }
    }

    fn said(command: &[u8], parameters: Option<FileParameters>, outcome: Outcome) -> String {
        let report = TransferReport {
            command: Bytes::copy_from_slice(command),
            forward: None,
            asked_by: Some(DataCommands {
                client: DataCommand::Port,
                server: DataCommand::Epsv,
            }),
            begun: true,
            parameters,
            sent_at: Duration::ZERO,
            answer: Some("226 done\r\n".into()),
        };
        let transfer = Transferred {
            user: Some("caf\\xc3\\xa9"),
            logged_in: true,
            report: &report,
            outcome,
            time: Duration::from_millis(1500),
            moved: Moved {
                to_client: 3,
                to_server: 0,
            },
            sha256: Some([0xab; 32]),
        };
        Record::Transfer(Box::new(Transfer::new(&facts(), &transfer, 0))).said()
    }

    #[test]
    fn the_keys_of_a_transfer_have_their_order() {
        let hash = "ab".repeat(32);
        assert_eq!(
            said(b"retr caf\xe9", Some(parameters()), Outcome::Complete),
            format!(
                "{{\"event\":\"transfer\",\"tunnel\":\"erp\",\"session\":7,\"client\":\"127.0.0.1:4000\",\
                 \"local_user\":1000,\"ftp_user\":\"caf\u{e9}\",\"ftp_server\":\"localhost:21\",\
                 \"ssh_server\":\"ssh.example:22\",\"ssh_user\":\"me\",\"ssh_key\":\"SHA256:k\",\
                 \"host_key\":\"SHA256:h\",\"command\":\"RETR\",\"argument\":\"caf\\\\xe9\",\
                 \"directory\":\"/in\",\"path\":\"/in/caf\\\\xe9\",\"type\":\"I\",\"offset\":0,\
                 \"client_mode\":\"PORT\",\"server_mode\":\"EPSV\",\"carried\":\"PORT carried as passive\",\
                 \"direction\":\"download\",\"bytes\":3,\"seconds\":1.5,\"sha256\":\"{hash}\",\
                 \"sha256_of\":\"file\",\"result\":\"complete\",\"reply\":\"226 done\",\"left_out\":0}}"
            )
        );
    }

    #[test]
    fn a_command_that_was_cut_says_so_and_has_no_path() {
        let long = [&b"RETR "[..], &[b'x'; REPORTED - 5]].concat();
        let cut = said(&long, Some(parameters()), Outcome::Complete);
        assert!(
            cut.contains("x\\\\+\",\"directory\":\"/in\",\"path\":null"),
            "{cut}"
        );
        let whole = said(&long[..REPORTED - 1], Some(parameters()), Outcome::Complete);
        assert!(
            whole.contains("x\",\"directory\":\"/in\",\"path\":\"/in/x"),
            "{whole}"
        );
    }

    #[test]
    fn a_hash_is_of_the_file_only_where_the_wire_had_the_whole_file() {
        type Change = fn(&mut FileParameters);
        let of = |command: &str, change: Change, outcome| {
            let mut changed = parameters();
            change(&mut changed);
            let said = said(command.as_bytes(), Some(changed), outcome);
            match said.contains("\"sha256_of\":\"file\"") {
                true => "file",
                false => "wire",
            }
        };
        let same: Change = |_| {};
        for command in ["RETR a", "STOR a", "STOU"] {
            assert_eq!(of(command, same, Outcome::Complete), "file", "{command}");
        }
        for command in ["APPE a", "LIST", "NLST", "MLSD"] {
            assert_eq!(of(command, same, Outcome::Complete), "wire", "{command}");
        }
        assert_eq!(of("RETR a", same, Outcome::Cut), "wire");
        let changes: [Change; 3] = [
            |file| file.representation = b'A',
            |file| file.offset = 1,
            |file| file.plain = false,
        ];
        for change in changes {
            assert_eq!(of("RETR a", change, Outcome::Complete), "wire");
        }
        let unknown = said(b"RETR a", None, Outcome::Complete);
        assert!(unknown.contains("\"sha256_of\":\"wire\""), "{unknown}");
    }

    #[test]
    fn how_data_was_carried_is_said_in_words() {
        for (client, server, words) in [
            (DataCommand::Pasv, DataCommand::Pasv, "as asked"),
            (DataCommand::Pasv, DataCommand::Epsv, "PASV\u{2192}EPSV"),
            (DataCommand::Eprt, DataCommand::Port, "EPRT\u{2192}PORT"),
            (
                DataCommand::Eprt,
                DataCommand::Pasv,
                "EPRT carried as passive",
            ),
        ] {
            assert_eq!(carried(DataCommands { client, server }), words);
        }
    }
}
