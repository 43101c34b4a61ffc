//! FTP servers that insist on TLS. Inside TLS nothing could be rewritten, so ferryline cannot serve them; it
//! says what has to be changed, and where.

/// Whether this line of a refusal says that the server wants TLS first. `login`: it answers the connection
/// itself, USER or PASS. Elsewhere only the codes that are meant for it count (RFC 4217 §4 and the servers'
/// habits), because a file may have any name.
pub(super) fn insists_on_tls(login: bool, code: u16, text: &[u8]) -> bool {
    if !(code >= 400 && (login || matches!(code, 521 | 522 | 533 | 534 | 536))) {
        return false;
    }
    WORDS.iter().any(|word| {
        text.windows(word.len())
            .any(|window| window.eq_ignore_ascii_case(word))
    })
}

/// Words of vsftpd ("must use encryption"), ProFTPD and pyftpdlib ("SSL/TLS required"), pure-ftpd ("cleartext
/// sessions are not accepted"), FileZilla Server ("Use AUTH first"), IIS ("requires SSL").
const WORDS: [&[u8]; 5] = [b"TLS", b"SSL", b"encrypt", b"cleartext", b"AUTH first"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusals_of_known_servers_are_told_from_others() {
        for (login, code, text) in [
            (true, 530, "530 Non-anonymous sessions must use encryption."),
            (true, 550, "550 SSL/TLS required on the control channel"),
            (
                true,
                421,
                "421 Sorry, cleartext sessions are not accepted on this server.",
            ),
            (true, 503, "503 Use AUTH first."),
            (true, 534, "534 Policy requires SSL."),
            (false, 522, "522 Data connections must be encrypted."),
        ] {
            assert!(insists_on_tls(login, code, text.as_bytes()), "{text}");
        }
        for (login, code, text) in [
            (true, 530, "530 Login incorrect."),
            (true, 331, "331 TLS is not needed, password please"),
            (false, 550, "550 ssl.conf: no such file"),
            (false, 522, "522 Network protocol not supported, use (1,2)"),
        ] {
            assert!(!insists_on_tls(login, code, text.as_bytes()), "{text}");
        }
    }
}
