//! Errors of the SSH session: one line each, saying who failed, at what, and what to do.

use std::{fmt::Write as _, path::PathBuf};

use thiserror::Error as ThisError;

/// Why there is no session with the SSH server.
#[derive(Clone, Debug, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// The server offers nothing of a kind of algorithms that may be used with it.
    #[error(
        "the SSH server {host} port {port} offers no {kind} that may be used, only {offered}; {remedy}"
    )]
    Algorithms {
        /// Host as named in the settings.
        host: String,
        /// TCP port.
        port: u16,
        /// The kind of algorithm.
        kind: &'static str,
        /// What the server offers.
        offered: String,
        /// The option that would allow one of them.
        remedy: String,
    },
    /// A jump host on the way could not be logged in to.
    #[error("on the way, at the jump host {hop}: {}{}", error.cause(), after(at_jump_host(error, by_ssh)))]
    AtJumpHost {
        /// The jump host, as `user@host`.
        hop: String,
        /// The command by which ssh would connect to it.
        by_ssh: String,
        /// Why.
        error: Box<Self>,
    },
    /// The session was closed by this side.
    #[error("the session with {destination} was closed")]
    Closed {
        /// The destination of the session.
        destination: String,
    },
    /// No TCP connection to any address of the host.
    #[error("cannot connect to the SSH server {host} port {port}: {reason}; {CHECK_WAY}")]
    Connect {
        /// Host as named in the settings.
        host: String,
        /// TCP port.
        port: u16,
        /// What the system said, for each address tried.
        reason: String,
        /// Whether the host itself refused.
        refused: bool,
    },
    /// A further connection is not known to end on the host that the first one ended on.
    #[error(
        "a further SSH connection to {destination} {}; FTP's data connections have to start from the host that the \
         control connection goes through",
        elsewhere(untold.as_deref())
    )]
    Elsewhere {
        /// The destination of the session.
        destination: String,
        /// Why this could not be found out; `None`: it did end on another host.
        untold: Option<String>,
    },
    /// The key exchange failed.
    #[error("the SSH server {host} port {port} ended the handshake: {reason}; {ASK_ITS_LOG}")]
    Handshake {
        /// Host as named in the settings.
        host: String,
        /// TCP port.
        port: u16,
        /// What went wrong.
        reason: String,
    },
    /// No lane for one more transfer.
    #[error(
        "no further SSH connection for data to {destination} could be had in time (--lanes, or the SSH server \
         allows no more), and each of the {lanes} there are has a client that reads slowly; try again later"
    )]
    HeldUp {
        /// The destination of the lanes.
        destination: String,
        /// How many there are.
        lanes: usize,
    },
    /// The certificate that the server shows is from a known authority, and not valid.
    #[error(
        "the host certificate of {name} is not valid: {reason} (the SSH server's authority is known from \
         {file}:{line}); {remedy}",
        file = file.display()
    )]
    HostCertificate {
        /// Name under which the authority was looked up.
        name: String,
        /// What is wrong with the certificate.
        reason: String,
        /// What to do.
        remedy: &'static str,
        /// File with the `@cert-authority` entry.
        file: PathBuf,
        /// Line of that entry, from 1.
        line: usize,
    },
    /// The known key of this host is another one.
    #[error(
        "the host key of {name} CHANGED: the SSH server shows the {kind} key {fingerprint}, but {file}:{line} has \
         another one; {CHANGED}",
        file = file.display()
    )]
    HostKeyChanged {
        /// Name under which the key is looked up.
        name: String,
        /// Algorithm of the shown key.
        kind: String,
        /// SHA256 fingerprint of the shown key.
        fingerprint: String,
        /// File with the offending entry.
        file: PathBuf,
        /// Line of the offending entry, from 1.
        line: usize,
    },
    /// A further connection was shown another host key than the first one.
    #[error(
        "a further connection to the SSH server {name} was shown another host key ({fingerprint}) than the first \
         one: refused; if there are several servers behind the name, connect to one of them"
    )]
    HostKeyDiffers {
        /// Name under which the key is looked up.
        name: String,
        /// SHA256 fingerprint of the shown key.
        fingerprint: String,
    },
    /// The key of this host is marked `@revoked`.
    #[error(
        "the host key of {name} ({fingerprint}) is revoked by {file}:{line}: refused; {REVOKED}",
        file = file.display()
    )]
    HostKeyRevoked {
        /// Name under which the key is looked up.
        name: String,
        /// SHA256 fingerprint of the shown key.
        fingerprint: String,
        /// File with the `@revoked` entry.
        file: PathBuf,
        /// Line of that entry, from 1.
        line: usize,
    },
    /// No key of this host is known, and the policy does not allow to accept it.
    #[error(
        "the host key of {name} is not known: the SSH server's {kind} {fingerprint} is not in {searched}; {ACCEPT_ONCE}"
    )]
    HostKeyUnknown {
        /// Name under which the key is looked up.
        name: String,
        /// Algorithm of the shown key.
        kind: String,
        /// SHA256 fingerprint of the shown key.
        fingerprint: String,
        /// The files that were searched.
        searched: String,
    },
    /// A jump host may not connect to the next server.
    #[error(
        "the jump host {hop} refused to connect to {host} port {port} (administratively prohibited: {said}); {ALLOW_ONWARD}"
    )]
    JumpForbidden {
        /// The jump host, as `user@host`.
        hop: String,
        /// Host that it should connect to.
        host: String,
        /// TCP port.
        port: u16,
        /// What it said.
        said: String,
    },
    /// The server took none of the credentials.
    #[error("{destination}: log-in refused: tried {tried}; the SSH server accepts {accepts}{}", after(Some(hint.clone()).filter(|hint| !hint.is_empty())))]
    LoginRefused {
        /// The destination of the session.
        destination: String,
        /// What was tried, with the reason where something could not be.
        tried: String,
        /// The methods that the server would continue with.
        accepts: String,
        /// Advice, or nothing.
        hint: String,
    },
    /// The connection was lost, and did not come back in time.
    #[error("the connection to the SSH server {destination} is lost: {reason}")]
    Lost {
        /// The destination of the session.
        destination: String,
        /// Why, or why it cannot be made again.
        reason: String,
    },
    /// There has been no connection yet.
    #[error("no connection to the SSH server {destination}: {reason}")]
    NotUp {
        /// The destination of the session.
        destination: String,
        /// Why.
        reason: String,
    },
    /// What answers there does not speak SSH.
    #[error("{host} port {port} does not answer like an SSH server ({reason}); {WRONG_PORT}")]
    NotSsh {
        /// Host as named in the settings.
        host: String,
        /// TCP port.
        port: u16,
        /// What it did instead.
        reason: String,
    },
    /// The command that should lead to the server did not.
    #[error("the ProxyCommand '{program}' for the SSH server {host} {reason}")]
    ProxyCommand {
        /// Host as named in the settings.
        host: String,
        /// The first word of the command.
        program: String,
        /// How the command ended.
        reason: String,
    },
    /// The host name has no address.
    #[error("cannot find the address of the SSH server {host}: {reason}; {CHECK_NAME}")]
    Resolve {
        /// Host as named in the settings.
        host: String,
        /// What the resolver said.
        reason: String,
    },
    /// Nothing came in time.
    #[error("the SSH server {host} port {port} {what} {seconds} s; {ALLOW_TIME}")]
    Timeout {
        /// Host as named in the settings.
        host: String,
        /// TCP port.
        port: u16,
        /// What it did not do within the limit.
        what: &'static str,
        /// The limit, in seconds.
        seconds: u64,
    },
}

impl Error {
    /// What happened, without the remedy that the whole text ends with.
    pub fn cause(&self) -> String {
        let text = self.to_string();
        let remedy = after(self.remedy());
        match text.strip_suffix(&remedy) {
            Some(cause) => cause.to_owned(),
            None => text,
        }
    }

    /// What to do about it, where that is known.
    pub fn remedy(&self) -> Option<String> {
        let remedy = match self {
            Self::Algorithms { remedy, .. } => remedy,
            Self::AtJumpHost { error, by_ssh, .. } => return at_jump_host(error, by_ssh),
            Self::Connect { .. } => CHECK_WAY,
            Self::Handshake { .. } => ASK_ITS_LOG,
            Self::HostCertificate { remedy, .. } => remedy,
            Self::HostKeyChanged { .. } => CHANGED,
            Self::HostKeyRevoked { .. } => REVOKED,
            Self::HostKeyUnknown { .. } => ACCEPT_ONCE,
            Self::JumpForbidden { .. } => ALLOW_ONWARD,
            Self::LoginRefused { hint, .. } => hint,
            Self::NotSsh { .. } => WRONG_PORT,
            Self::Resolve { .. } => CHECK_NAME,
            Self::Timeout { .. } => ALLOW_TIME,
            Self::Closed { .. }
            | Self::Elsewhere { .. }
            | Self::HeldUp { .. }
            | Self::HostKeyDiffers { .. }
            | Self::Lost { .. }
            | Self::NotUp { .. }
            | Self::ProxyCommand { .. } => return None,
        };
        Some(remedy.to_owned()).filter(|remedy| !remedy.is_empty())
    }

    /// Whether the server, or its host, was heard, so that the path is not at fault.
    pub(super) fn is_an_answer(&self) -> bool {
        match self {
            Self::Connect { refused, .. } => *refused,
            Self::ProxyCommand { .. } | Self::Resolve { .. } | Self::Timeout { .. } => false,
            Self::AtJumpHost { error, .. } => error.is_an_answer(),
            _ => true,
        }
    }

    /// Whether the same attempt may well succeed a moment later, because a server is overloaded or restarts,
    /// or a network is away. Refused log-ins and host keys do not count.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::Handshake { .. }
            | Self::HeldUp { .. }
            | Self::Lost { .. }
            | Self::NotSsh { .. }
            | Self::NotUp { .. }
            | Self::ProxyCommand { .. }
            | Self::Resolve { .. }
            | Self::Timeout { .. } => true,
            Self::AtJumpHost { error, .. } => error.is_transient(),
            Self::Algorithms { .. }
            | Self::Closed { .. }
            | Self::Elsewhere { .. }
            | Self::HostCertificate { .. }
            | Self::HostKeyChanged { .. }
            | Self::HostKeyDiffers { .. }
            | Self::HostKeyRevoked { .. }
            | Self::HostKeyUnknown { .. }
            | Self::JumpForbidden { .. }
            | Self::LoginRefused { .. } => false,
        }
    }
}

/// The remedy behind the cause.
fn after(remedy: Option<String>) -> String {
    remedy.map_or(String::new(), |remedy| format!("; {remedy}"))
}

/// What to do about an error at a jump host. The arguments that settle the same error of the SSH server (-p,
/// -l, -i, -o) are not for jump hosts.
fn at_jump_host(error: &Error, by_ssh: &str) -> Option<String> {
    let remedy = match error {
        Error::HostKeyUnknown { .. } => format!(
            "check the fingerprint with that host's administrator, then connect there once: {by_ssh}"
        ),
        Error::Algorithms { remedy, .. } => {
            format!(
                "{remedy} (in that host's section of the ssh configuration: -o is not for jump hosts)"
            )
        }
        Error::Connect { .. } => {
            format!(
                "check the jump host's name and port (ProxyJump, -J) and firewalls; or try: {by_ssh}"
            )
        }
        Error::LoginRefused { hint, .. } => {
            let hint = after(Some(hint.clone()).filter(|hint| !hint.is_empty()));
            let hint = hint.trim_start_matches("; ");
            format!(
                "the user, keys and options of a jump host are those of its own section of the ssh configuration, \
                 not -l, -i and -o{}{hint}; or try: {by_ssh}",
                if hint.is_empty() { "" } else { "; " }
            )
        }
        Error::NotSsh { .. } => {
            "wrong port? It stands behind the jump host's name (ProxyJump, -J)".to_owned()
        }
        Error::Timeout { .. } => {
            "check the jump host's name and port (ProxyJump, -J) and firewalls, or allow more with \
             -o ConnectTimeout"
                .to_owned()
        }
        other => return other.remedy(),
    };
    Some(remedy)
}

const ACCEPT_ONCE: &str = "check the fingerprint with the server's administrator; for a service, write what ssh-keyscan \
    prints into such a file; otherwise connect once with -o StrictHostKeyChecking=accept-new";
const ALLOW_ONWARD: &str = "its AllowTcpForwarding and PermitOpen have to allow that";
const ALLOW_TIME: &str =
    "check host, port (-p) and firewalls, or allow more with -o ConnectTimeout";
const ASK_ITS_LOG: &str = "its log says why, and 'ssh -v' may";
const CHANGED: &str =
    "somebody may be in between. If the change is genuine, remove that line and connect again";
const CHECK_NAME: &str = "check the name";
const CHECK_WAY: &str = "check host, port (-p) and firewalls";
const REVOKED: &str = "the SSH server needs another key, ask its administrator";
const WRONG_PORT: &str =
    "wrong port? -p is the SSH server's, the FTP server's stands at the end of -L";

fn elsewhere(untold: Option<&str>) -> String {
    match untold {
        None => "ended on another host than the first one".to_owned(),
        Some(why) => format!(
            "may end on another host than the first one, because a ProxyCommand or a jump host chooses it, and that \
             could not be found out ({why})"
        ),
    }
}

/// Why the SSH server did not give a remote forward.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ThisError)]
pub enum ForwardError {
    /// The connection to the SSH server is lost.
    #[error("the connection to the SSH server is lost")]
    Lost,
    /// It refused: `AllowTcpForwarding`, `PermitListen`, or no free port.
    #[error(
        "the SSH server refused the remote forward: AllowTcpForwarding has to be 'yes' there, and \
         PermitListen (permitlisten= of the key) allow localhost:*"
    )]
    Refused,
    /// It did not answer.
    #[error("the SSH server did not answer the request for a remote forward")]
    Timeout,
}

/// Why a channel ended other than by an orderly end of file.
#[derive(Clone, Debug, Eq, PartialEq, ThisError)]
pub enum LostReason {
    /// The far side closed the channel without an end of file.
    #[error("the SSH server closed the channel before its end of file")]
    Closed,
    /// The SSH connection was lost.
    #[error("the SSH connection was lost: {0}")]
    Connection(String),
    /// The SSH server closed the channel in order, although neither side had done with it.
    #[error("the SSH server gave the channel up; is there a time limit there (ChannelTimeout)?")]
    GivenUp,
    /// This side closed it.
    #[error("the channel was closed by ferryline")]
    Local,
}

impl LostReason {
    /// Whether the SSH connection was given up because the server was not heard any more.
    pub fn is_silence(&self) -> bool {
        matches!(self, Self::Connection(reason) if reason == SILENCE)
    }
}

/// Why the SSH server did not connect a channel (RFC 4254 section 5.1).
#[derive(Clone, Debug, Eq, PartialEq, ThisError)]
pub enum OpenError {
    /// The connection to the SSH server is lost or silent, and no other could be made while the client
    /// waited. Says which, and why.
    #[error("{0}")]
    Away(String),
    /// The SSH server could not reach the target.
    #[error("the SSH server could not connect ({0}): check host and port, as seen from there")]
    ConnectFailed(String),
    /// The connection to the SSH server is lost.
    #[error("the connection to the SSH server is lost")]
    Lost,
    /// Another refusal.
    #[error("the SSH server did not open the channel ({0})")]
    Other(String),
    /// The SSH server's policy forbids it.
    #[error(
        "the SSH server forbids it (administratively prohibited: {0}): check AllowTcpForwarding, \
         DisableForwarding, PermitOpen there, and restrict, permitopen= of the key"
    )]
    Prohibited(String),
    /// The SSH server did not answer.
    #[error("the SSH server did not answer the request for a channel")]
    Timeout,
}

impl OpenError {
    /// The same for a data connection to `host`. The control connection has been forwarded already, so a
    /// server that forbids this one objects to the port.
    pub fn of_data_connection(&self, host: &str) -> String {
        match self {
            Self::Prohibited(said) => format!(
                "the SSH server forbids this port (administratively prohibited: {said}): its PermitOpen, or \
                 permitopen= of the key, has to allow {host}:*"
            ),
            error => error.to_string(),
        }
    }
}

/// What another party said, made safe to print in one line: printable ASCII stays, the rest is escaped. It is
/// never longer than about `MAX_FOREIGN` characters.
pub(super) fn escaped(foreign: &str) -> String {
    let mut out = String::new();
    for c in foreign.trim_end().chars() {
        if out.len() >= MAX_FOREIGN {
            out.push_str("...");
            break;
        }
        match c {
            ' '..='~' if c != '\\' => out.push(c),
            c => {
                let _ = write!(out, "{}", c.escape_default());
            }
        }
    }
    out
}

/// Why a connection ended whose server was not heard any more.
pub(super) const SILENCE: &str = "the SSH server does not answer";
const MAX_FOREIGN: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_end_the_line_or_run_on() {
        assert_eq!(escaped("Connection refused"), "Connection refused");
        assert_eq!(escaped("a\r\n226 done\n"), "a\\r\\n226 done");
        assert_eq!(escaped("é\u{1b}[2J"), "\\u{e9}\\u{1b}[2J");
        assert!(escaped(&"x".repeat(100_000)).len() < 210);
    }

    #[test]
    fn each_error_is_its_cause_and_its_remedy() {
        let unknown = Error::HostKeyUnknown {
            name: "[h]:23".into(),
            kind: "ssh-ed25519".into(),
            fingerprint: "SHA256:x".into(),
            searched: "/k".into(),
        };
        assert!(
            unknown.cause().ends_with("is not in /k"),
            "{}",
            unknown.cause()
        );
        let remedy = unknown.remedy().unwrap();
        assert_eq!(
            unknown.to_string(),
            format!("{}; {remedy}", unknown.cause())
        );
        // -o is not for jump hosts.
        let at_hop = Error::AtJumpHost {
            hop: "u@h:23".into(),
            by_ssh: "ssh -p 23 u@h".into(),
            error: Box::new(unknown),
        };
        assert!(
            at_hop.cause().ends_with("is not in /k"),
            "{}",
            at_hop.cause()
        );
        let text = at_hop.to_string();
        assert!(
            text.ends_with("then connect there once: ssh -p 23 u@h"),
            "{text}"
        );
        assert!(!text.contains("StrictHostKeyChecking"), "{text}");
        let lost = Error::Lost {
            destination: "u@h".into(),
            reason: "gone".into(),
        };
        assert_eq!((lost.cause(), lost.remedy()), (lost.to_string(), None));
    }

    #[test]
    fn every_message_is_one_line() {
        let refused = Error::LoginRefused {
            destination: "a@b".into(),
            tried: "no key".into(),
            accepts: "publickey".into(),
            hint: String::new(),
        };
        assert_eq!(
            refused.to_string(),
            "a@b: log-in refused: tried no key; the SSH server accepts publickey"
        );
        let changed = Error::HostKeyChanged {
            name: "h".into(),
            kind: "ssh-ed25519".into(),
            fingerprint: "SHA256:x".into(),
            file: "/k".into(),
            line: 3,
        };
        assert!(changed.to_string().contains("/k:3"));
        assert!(!changed.to_string().contains('\n'));
    }
}
