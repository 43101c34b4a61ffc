//! Keywords of ssh that concern what ferryline does not do: sessions, agents, ssh's own forwards. Scripts give
//! them with `-o`; in a file they are passed over.

/// What becomes of a keyword that is not honoured.
pub(super) enum Verdict {
    /// With this value it changes nothing.
    Accepted,
    /// It has no effect, for this reason.
    Warned(&'static str),
    /// It is an error; the text says what to do instead.
    Refused(&'static str),
    /// It is not of this kind.
    Unknown,
}

/// Judges an `-o` whose keyword, in lower case, is not honoured.
pub(super) fn verdict(keyword: &str, value: &str) -> Verdict {
    let value = value.trim().to_ascii_lowercase();
    let no = matches!(value.as_str(), "no" | "false" | "none" | "off" | "0" | "");
    match keyword {
        "exitonforwardfailure" if no => {
            Verdict::Warned("ferryline always ends where it cannot listen on a port")
        }
        "addkeystoagent"
        | "clearallforwardings"
        | "enableescapecommandline"
        | "escapechar"
        | "exitonforwardfailure"
        | "ipqos"
        | "loglevel"
        | "logverbose"
        | "requesttty"
        | "sessiontype"
        | "setenv"
        | "sendenv"
        | "stdinnull"
        | "syslogfacility"
        | "tcpkeepalive"
        | "updatehostkeys"
        | "visualhostkey"
        | "xauthlocation"
        | "forwardx11timeout"
        | "obscurekeystroketiming" => Verdict::Accepted,
        "controlmaster"
        | "controlpath"
        | "controlpersist"
        | "forwardagent"
        | "forwardx11"
        | "forwardx11trusted"
        | "permitlocalcommand"
        | "localcommand"
        | "remotecommand"
        | "gssapiauthentication"
        | "gssapidelegatecredentials"
        | "hostbasedauthentication"
        | "hashknownhosts"
        | "tunnel"
        | "forkafterauthentication"
        | "gatewayports"
        | "channeltimeout"
        | "checkhostip"
        | "verifyhostkeydns"
        | "nohostauthenticationforlocalhost"
        | "pkcs11provider"
        | "knownhostscommand"
        | "revokedhostkeys"
            if no =>
        {
            Verdict::Accepted
        }
        "channeltimeout" => Verdict::Warned(
            "--idle ends sessions in which nothing happens, and --data-wait data connections that no client opens",
        ),
        "controlmaster" | "controlpath" | "controlpersist" => {
            Verdict::Warned("ferryline shares no connection with ssh")
        }
        "forwardagent"
        | "forwardx11"
        | "forwardx11trusted"
        | "permitlocalcommand"
        | "localcommand"
        | "remotecommand"
        | "gssapidelegatecredentials" => Verdict::Warned("ferryline opens no session"),
        "gssapiauthentication" | "hostbasedauthentication" => {
            Verdict::Warned("ferryline logs in by keys, the agent, certificates and passwords only")
        }
        "connectionattempts" => Verdict::Warned(
            "ferryline connects again by itself once it is up, and ends if it cannot at its start: let systemd start it again",
        ),
        "hashknownhosts" => Verdict::Warned("ferryline stores the names of new hosts as they are"),
        "forkafterauthentication" => Verdict::Refused(
            "ferryline stays in the foreground: start it from a systemd unit, or with 'nohup ferryline forward … &'",
        ),
        "gatewayports" => Verdict::Refused("give -g, and --allow-from for those who may come"),
        "localforward" => Verdict::Refused("give the forward as -L PORT:HOST:HOSTPORT"),
        "remoteforward" => Verdict::Refused(
            "ferryline forwards local ports only (-L), and makes what FTP needs by itself; use 'ssh -R' beside it",
        ),
        "dynamicforward" => Verdict::Refused(
            "ferryline is no SOCKS proxy: name each FTP server with -L, or use 'ssh -D' beside it",
        ),
        _ => Verdict::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_an_effect_in_ssh_and_none_here_is_told() {
        for (keyword, value, told) in [
            ("channeltimeout", "session:*=5m", Some("--idle")),
            ("channeltimeout", "none", None),
            ("controlpersist", "10m", Some("shares no connection")),
            ("controlpersist", "0", None),
            ("controlpersist", "no", None),
            ("connectionattempts", "3", Some("connects again by itself")),
            ("verifyhostkeydns", "no", None),
        ] {
            let why = match verdict(keyword, value) {
                Verdict::Accepted => None,
                Verdict::Warned(why) => Some(why),
                Verdict::Refused(why) => panic!("{keyword} {value} is refused: {why}"),
                Verdict::Unknown => panic!("{keyword} is not known"),
            };
            assert_eq!(why.is_some(), told.is_some(), "{keyword} {value}: {why:?}");
            assert!(why.unwrap_or_default().contains(told.unwrap_or_default()));
        }
    }
}
