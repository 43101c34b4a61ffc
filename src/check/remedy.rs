//! What to do where a step does not work.

use ferryline_grammar::is_loopback;

use super::stage::Stage;
use crate::{
    proxy::ForwardSpec,
    ssh::{Error, OpenError},
};

/// The log-in cannot be repeated for further connections.
pub(super) const LANE: &str = "log in with a key or the agent, which can be repeated, and look for a \
    limit of log-ins (MaxStartups in sshd_config, maxlogins in limits.conf)";

/// The server wants TLS, which ferryline cannot serve.
pub(super) const TLS: &str = "let plain log-ins in from the SSH host, where SSH protects them \
    (vsftpd: force_local_logins_ssl=NO and force_local_data_ssl=NO; ProFTPD: TLSRequired off; \
    pure-ftpd: TLS 1; FileZilla Server: do not require explicit FTP over TLS)";

/// A step of the SSH connection failed: what the error itself advises, else what helps at this step.
pub(super) fn ssh(stage: Stage, error: &Error) -> String {
    if let Some(remedy) = error.remedy() {
        return remedy;
    }
    let remedy = match stage {
        Stage::Resolve => "check the spelling, or give the address of the SSH server",
        Stage::JumpHost | Stage::Connect | Stage::Version | Stage::HostKey => {
            "'ssh -v' to the same server tells more"
        }
        Stage::Authentication => {
            "check user (-l) and key (-i, the agent); 'ssh -v' to the same server tells more"
        }
        Stage::Lane => LANE,
    };
    remedy.to_owned()
}

/// What the SSH server said about a forward, without the advice that is for the log.
pub(super) fn cause(error: &OpenError) -> String {
    match error {
        OpenError::ConnectFailed(said) => format!("the SSH server could not connect ({said})"),
        OpenError::Prohibited(said) => {
            format!("the SSH server forbids it (administratively prohibited: {said})")
        }
        other => other.to_string(),
    }
}

/// The SSH server does not connect to the FTP server.
pub(super) fn forward(spec: &ForwardSpec, error: &OpenError) -> String {
    let target = format!("{}:{}", spec.host, spec.host_port);
    let host = &spec.host;
    // A loopback name is asked for by its address first.
    let permitted = if is_loopback(host) { "127.0.0.1" } else { host };
    match error {
        OpenError::Prohibited(_) => format!(
            "in sshd_config of the SSH server: AllowTcpForwarding yes (or local), and PermitOpen any \
             or {permitted}:* (the ports of data are not known before); in the user's authorized_keys: no \
             'no-port-forwarding', 'port-forwarding' behind a 'restrict', and permitopen=\"{permitted}:*\" if any"
        ),
        OpenError::ConnectFailed(said) if is_about_the_name(said) => format!(
            "the SSH host cannot find the address of {host}: check the spelling in -L, or give the address; \
             'getent hosts {host}' there tells the same"
        ),
        OpenError::ConnectFailed(_) => format!(
            "the SSH host tried {target} and got no connection. Perhaps the FTP server is down, the port in -L is \
             another one, or a firewall refuses; on the SSH host, 'nc -v {} {}' makes the same attempt",
            spec.host, spec.host_port
        ),
        OpenError::Timeout => format!(
            "the SSH host got no answer from {target}. Perhaps a firewall drops the connection, or the address in -L \
             is another one; on the SSH host, 'nc -v {} {}' makes the same attempt",
            spec.host, spec.host_port
        ),
        OpenError::Away(_) | OpenError::Lost | OpenError::Other(_) => {
            "the log of the SSH server tells more; -vvv shows what it said".to_owned()
        }
    }
}

/// Whether a resolver said this (glibc, musl, the BSDs).
fn is_about_the_name(said: &str) -> bool {
    let said = said.to_ascii_lowercase();
    let words = [
        "name resolution",
        "name or service",
        "name does not resolve",
        "nodename nor servname",
        "no address associated",
        "unknown host",
    ];
    words.iter().any(|word| said.contains(word))
}

/// ferryline itself ended the session in place of a greeting.
pub(super) fn own_greeting(text: &str) -> String {
    let remedy = if text.contains("not an FTP server") {
        "-L ends in host and port of the FTP server: another service answers there. 21 is the usual port of FTP"
    } else {
        VERBOSE
    };
    remedy.to_owned()
}

/// Nothing better is known.
pub(super) const VERBOSE: &str = "-vv shows every line of the control connection";

/// A further SSH connection does not lead to the FTP server that the first one leads to.
pub(super) const SEVERAL_HOSTS: &str = "does the SSH server's name, or its address, stand for several hosts? Name \
    one of them; or --lanes 0, and data shares the first connection";

/// The greeting is not that of an FTP server.
pub(super) fn greeting(text: &str) -> String {
    let remedy = if text.contains("421") || text.contains("530") {
        "with this the server turned the check away. Perhaps it has as many clients as it serves at once, or its \
         rules keep the SSH host out, from which all clients of ferryline come to it: its log says which"
    } else if text.contains("nothing happened") {
        "perhaps this is no plain FTP port (990 speaks TLS from the start, which cannot be carried), or the server \
         looks names up and needs longer: --timeout 60s"
    } else {
        "is this an FTP server? The port stands at the end of -L"
    };
    remedy.to_owned()
}

/// The log-in was refused.
pub(super) const LOG_IN: &str = "check name and password, and whether the server lets this user in by \
    FTP and from the SSH host (user lists, shells, rules by address)";

/// A transfer mode does not work.
pub(super) fn mode(spec: &ForwardSpec, text: &str) -> String {
    let remedy = if text.contains("prohibited") {
        return format!(
            "in sshd_config of the SSH server: PermitOpen any or {}:*, because the ports of data are not known \
             before (and permitopen= in authorized_keys likewise)",
            if is_loopback(&spec.host) {
                "127.0.0.1"
            } else {
                &spec.host
            }
        );
    } else if text.contains("refused the remote forward") {
        "in sshd_config of the SSH server: AllowTcpForwarding yes and PermitListen any; or leave out \
         --active remote, and active mode is carried as passive"
    } else if wants_tls(text) {
        TLS
    } else if text.contains("could not connect") || text.contains("nothing happened") {
        if is_loopback(&spec.host) {
            return "the control connection works, and this data connection did not come about. Perhaps the FTP \
                server's data come from another host: try --data-host auto; or rules on its own host keep its passive \
                ports closed"
                .to_owned();
        }
        return format!(
            "the control connection to {} works, and this data connection did not come about. Perhaps a firewall \
             between the SSH host and {} lets only the FTP port through: open the server's passive ports there. Or its \
             data come from another host: try --data-host auto",
            spec.host, spec.host
        );
    } else if text.contains("LIST") && text.contains("550") {
        "the user may not list this folder: give another --ftp-user"
    } else {
        VERBOSE
    };
    remedy.to_owned()
}

/// Whether a refusal says that the server wants TLS (RFC 4217; the words differ).
pub(super) fn wants_tls(refusal: &str) -> bool {
    let refusal = refusal.to_ascii_lowercase();
    let mut words = refusal.split(|c: char| !c.is_ascii_alphanumeric());
    words.any(|word| TLS_WORDS.contains(&word)) || refusal.contains("use auth")
}

const TLS_WORDS: [&str; 6] = ["cleartext", "encrypted", "encryption", "ftps", "ssl", "tls"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_in_which_servers_insist_on_tls() {
        for refusal in [
            "530 Non-anonymous sessions must use encryption.",
            "550 SSL/TLS required on the control channel",
            "421 Sorry, cleartext sessions and weak ciphers are not accepted on this server.",
            "503 Use AUTH first.",
            "534 Policy requires SSL.",
            "522 Data connections must be encrypted.",
        ] {
            assert!(wants_tls(refusal), "{refusal}");
        }
        for other in [
            "530 Login incorrect.",
            "530 Permission denied.",
            "530 Not authorized.",
            "530 Auth failed.",
            "331 Please specify the password.",
        ] {
            assert!(!wants_tls(other), "{other}");
        }
    }

    #[test]
    fn a_name_that_the_ssh_host_does_not_know_is_told_from_a_server_that_is_down() {
        let spec: ForwardSpec = "0:ftp.example:21".parse().unwrap();
        for (said, advice) in [
            (
                "Temporary failure in name resolution",
                "getent hosts ftp.example",
            ),
            ("Name or service not known", "getent hosts ftp.example"),
            ("Connection refused", "nc -v ftp.example 21"),
        ] {
            let remedy = forward(&spec, &OpenError::ConnectFailed(said.into()));
            assert!(remedy.contains(advice), "{said}: {remedy}");
        }
    }

    /// What was seen is told as a fact, and what may be behind it as a guess.
    #[test]
    fn a_guess_is_told_as_one() {
        let spec: ForwardSpec = "0:ftp.example:21".parse().unwrap();
        for (remedy, seen) in [
            (
                mode(&spec, "PASV: the SSH server could not connect"),
                "this data connection did not come about. Perhaps ",
            ),
            (
                forward(
                    &spec,
                    &OpenError::ConnectFailed("Connection refused".into()),
                ),
                "got no connection. Perhaps ",
            ),
            (
                forward(&spec, &OpenError::Timeout),
                "got no answer from ftp.example:21. Perhaps ",
            ),
            (
                greeting("421 Too many users."),
                "turned the check away. Perhaps ",
            ),
        ] {
            assert!(remedy.contains(seen), "{remedy}");
        }
    }

    #[test]
    fn a_prohibited_forward_names_the_settings() {
        let spec: ForwardSpec = "0:ftp.example:21".parse().unwrap();
        let remedy = forward(&spec, &OpenError::Prohibited("x".into()));
        for name in ["AllowTcpForwarding", "PermitOpen", "ftp.example:*"] {
            assert!(remedy.contains(name), "{remedy}");
        }
    }
}
