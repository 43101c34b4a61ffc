//! The verbs of FTP.

use std::fmt;

/// Every verb and its spelling. The order of the enum is that of the alphabet.
macro_rules! verbs {
    ($($(#[$doc:meta])+ $verb:ident = $name:literal,)+) => {
        /// A verb that ferryline knows by name, whether it acts on it or not.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Verb {
            $($(#[$doc])+ $verb,)+
            /// Any other verb: passed on untouched (RFC 5797 lets the list grow).
            Other,
        }

        const NAMES: &[(&str, Verb)] = &[$(($name, Verb::$verb),)+];

        impl Verb {
            /// The verb in capitals; `other` for [`Verb::Other`].
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$verb => $name,)+
                    Self::Other => "other",
                }
            }
        }
    };
}

verbs! {
    /// Abort the transfer (RFC 959 §4.1.3).
    Abor = "ABOR",
    /// Account (RFC 959 §4.1.1).
    Acct = "ACCT",
    /// Security data (RFC 2228 §3).
    Adat = "ADAT",
    /// Allocate (RFC 959 §4.1.3).
    Allo = "ALLO",
    /// Append (RFC 959 §4.1.3).
    Appe = "APPE",
    /// Security mechanism (RFC 2228 §3, RFC 4217 §4).
    Auth = "AUTH",
    /// Clear the command channel (RFC 2228 §3).
    Ccc = "CCC",
    /// Change to the parent directory, also XCUP (RFC 959 §4.1.1).
    Cdup = "CDUP",
    /// A confidential command (RFC 2228 §3).
    Conf = "CONF",
    /// Passive for a server-to-server transfer over TLS; answered as PASV.
    Cpsv = "CPSV",
    /// Change directory, also XCWD (RFC 959 §4.1.1).
    Cwd = "CWD",
    /// Delete (RFC 959 §4.1.3).
    Dele = "DELE",
    /// An enciphered command (RFC 2228 §3).
    Enc = "ENC",
    /// Extended active address (RFC 2428 §2).
    Eprt = "EPRT",
    /// Extended passive (RFC 2428 §3).
    Epsv = "EPSV",
    /// Features (RFC 2389 §3).
    Feat = "FEAT",
    /// Fetch, with the form of the data connection among the arguments (GridFTP v2, GFD.47).
    Get = "GET",
    /// Help (RFC 959 §4.1.3).
    Help = "HELP",
    /// Virtual host (RFC 7151 §3).
    Host = "HOST",
    /// Language of replies (RFC 2640 §4).
    Lang = "LANG",
    /// List (RFC 959 §4.1.3).
    List = "LIST",
    /// Long active address (RFC 1639 §2).
    Lprt = "LPRT",
    /// Long passive (RFC 1639 §3).
    Lpsv = "LPSV",
    /// Modification time (RFC 3659 §3).
    Mdtm = "MDTM",
    /// An integrity-protected command (RFC 2228 §3).
    Mic = "MIC",
    /// Make a directory, also XMKD (RFC 959 §4.1.3).
    Mkd = "MKD",
    /// List for machines (RFC 3659 §7).
    Mlsd = "MLSD",
    /// Facts of one file, over the control connection (RFC 3659 §7).
    Mlst = "MLST",
    /// Transfer mode (RFC 959 §4.1.2).
    Mode = "MODE",
    /// List names (RFC 959 §4.1.3).
    Nlst = "NLST",
    /// Nothing (RFC 959 §4.1.3).
    Noop = "NOOP",
    /// Options of a command (RFC 2389 §4).
    Opts = "OPTS",
    /// Password (RFC 959 §4.1.1).
    Pass = "PASS",
    /// Passive (RFC 959 §4.1.2).
    Pasv = "PASV",
    /// P@SW, an alias of PASV made to slip past firewalls.
    Paw = "P@SW",
    /// Protection buffer size (RFC 2228 §3).
    Pbsz = "PBSZ",
    /// Active address (RFC 959 §4.1.2).
    Port = "PORT",
    /// Announce the transfer before PASV (drftpd).
    Pret = "PRET",
    /// Protection of the data connection (RFC 2228 §3).
    Prot = "PROT",
    /// Store, with the form of the data connection among the arguments (GridFTP v2, GFD.47).
    Put = "PUT",
    /// Print the directory, also XPWD (RFC 959 §4.1.3).
    Pwd = "PWD",
    /// Log out (RFC 959 §4.1.1).
    Quit = "QUIT",
    /// Start the session over (RFC 959 §4.1.1).
    Rein = "REIN",
    /// Restart point (RFC 959 §4.1.3, RFC 3659 §5).
    Rest = "REST",
    /// Retrieve (RFC 959 §4.1.3).
    Retr = "RETR",
    /// Remove a directory, also XRMD (RFC 959 §4.1.3).
    Rmd = "RMD",
    /// Rename from (RFC 959 §4.1.3).
    Rnfr = "RNFR",
    /// Rename to (RFC 959 §4.1.3).
    Rnto = "RNTO",
    /// The server's own commands (RFC 959 §4.1.3).
    Site = "SITE",
    /// Size (RFC 3659 §4).
    Size = "SIZE",
    /// Structure mount (RFC 959 §4.1.1).
    Smnt = "SMNT",
    /// Passive, with an address for each stripe (GridFTP, GFD.20).
    Spas = "SPAS",
    /// Active, with an address for each stripe (GridFTP, GFD.20).
    Spor = "SPOR",
    /// Passive with one port kept for several transfers.
    Spsv = "SPSV",
    /// Status, or a list over the control connection (RFC 959 §4.1.3).
    Stat = "STAT",
    /// Store (RFC 959 §4.1.3).
    Stor = "STOR",
    /// Store under a unique name (RFC 959 §4.1.3).
    Stou = "STOU",
    /// File structure (RFC 959 §4.1.2).
    Stru = "STRU",
    /// The server's system (RFC 959 §4.1.3).
    Syst = "SYST",
    /// Representation type (RFC 959 §4.1.2).
    Type = "TYPE",
    /// User name (RFC 959 §4.1.1).
    User = "USER",
}

/// Direction in which a command moves data over a data connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferDirection {
    /// To the client.
    Download,
    /// To the FTP server.
    Upload,
}

impl Verb {
    /// The direction of the data where the verb starts a transfer (RFC 959 §4.1.3: APPE, LIST, NLST, RETR,
    /// STOR and STOU; RFC 3659 §7: MLSD). `None` for any other verb that is known, and for
    /// [`Verb::Other`], of which only the FTP server knows.
    pub fn transfer(self) -> Option<TransferDirection> {
        match self {
            Self::List | Self::Mlsd | Self::Nlst | Self::Retr => Some(TransferDirection::Download),
            Self::Appe | Self::Stor | Self::Stou => Some(TransferDirection::Upload),
            _ => None,
        }
    }

    /// Whether the whole argument must never be shown, logged or recorded (Q88). CONF, ENC and MIC
    /// carry another command, which may be a PASS.
    pub fn carries_secret(self) -> bool {
        matches!(
            self,
            Self::Acct | Self::Adat | Self::Conf | Self::Enc | Self::Mic | Self::Pass
        )
    }

    /// The verb that a keyword spells, in either case (RFC 959 §5.3). An X in front makes no
    /// difference: it once marked experiments (RFC 775), and some servers take it off every verb.
    pub(crate) fn from_keyword(keyword: &[u8]) -> Self {
        let plain = match keyword {
            [b'X' | b'x', rest @ ..] => rest,
            _ => keyword,
        };
        let named = |name: &str| plain.eq_ignore_ascii_case(name.as_bytes());
        let old = |name: &str| keyword.eq_ignore_ascii_case(name.as_bytes());
        let mut names = NAMES.iter().filter(|(name, _)| named(name));
        names
            .next()
            .or_else(|| OLD_NAMES.iter().find(|(name, _)| old(name)))
            .map_or(Self::Other, |(_, verb)| *verb)
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The one spelling of RFC 775 that is more than an X in front (RFC 1123 §4.1.3.1).
const OLD_NAMES: &[(&str, Verb)] = &[("XCUP", Verb::Cdup)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back_in_any_case() {
        for (name, verb) in NAMES {
            assert_eq!(verb.name(), *name);
            assert_eq!(Verb::from_keyword(name.as_bytes()), *verb);
            assert_eq!(Verb::from_keyword(name.to_lowercase().as_bytes()), *verb);
            assert_eq!(Verb::from_keyword(format!("X{name}").as_bytes()), *verb);
        }
        for (name, verb) in OLD_NAMES {
            assert_eq!(Verb::from_keyword(name.as_bytes()), *verb);
        }
        assert!(NAMES.windows(2).all(|pair| pair[0].1 < pair[1].1));
    }

    #[test]
    fn other_verbs_are_other() {
        for keyword in [
            "", "PAS", "PASVX", "MFMT", "other", "P SW", "MGET", "XXPWD", "XXCUP",
        ] {
            assert_eq!(
                Verb::from_keyword(keyword.as_bytes()),
                Verb::Other,
                "{keyword}"
            );
        }
    }

    #[test]
    fn verbs_that_move_data_say_where_to() {
        let moving = |direction| {
            let moves = |verb: &Verb| verb.transfer() == Some(direction);
            let names = NAMES.iter().filter(|(_, verb)| moves(verb));
            names.map(|(name, _)| *name).collect::<Vec<_>>()
        };
        assert_eq!(
            moving(TransferDirection::Download),
            ["LIST", "MLSD", "NLST", "RETR"]
        );
        assert_eq!(moving(TransferDirection::Upload), ["APPE", "STOR", "STOU"]);
        assert_eq!(Verb::Other.transfer(), None);
    }

    #[test]
    fn q88_secrets() {
        let secret: Vec<_> = NAMES
            .iter()
            .filter(|(_, verb)| verb.carries_secret())
            .map(|(name, _)| *name)
            .collect();
        assert_eq!(secret, ["ACCT", "ADAT", "CONF", "ENC", "MIC", "PASS"]);
        assert!(!Verb::Other.carries_secret());
    }
}
