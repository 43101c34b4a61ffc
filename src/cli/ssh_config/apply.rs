//! The meaning of each keyword for the settings.

use std::{path::PathBuf, time::Duration};

use super::{
    super::{Failure, time::span},
    Request, is_none,
    tokens::{Tokens, in_ssh_folder},
    values::{Values, algorithms, words},
};
use crate::ssh::{AddressFamily, AlgorithmList, Identity, Settings, StrictHostKeyChecking};

/// The keywords that are honoured.
pub(super) const HONOURED: [&str; 31] = [
    "AddressFamily",
    "BatchMode",
    "BindAddress",
    "CertificateFile",
    "Ciphers",
    "Compression",
    "ConnectTimeout",
    "GlobalKnownHostsFile",
    "HostKeyAlgorithms",
    "HostKeyAlias",
    "HostName",
    "IdentitiesOnly",
    "IdentityAgent",
    "IdentityFile",
    "KbdInteractiveAuthentication",
    "KexAlgorithms",
    "MACs",
    "NumberOfPasswordPrompts",
    "PasswordAuthentication",
    "Port",
    "PreferredAuthentications",
    "ProxyCommand",
    "ProxyJump",
    "PubkeyAcceptedAlgorithms",
    "PubkeyAuthentication",
    "RekeyLimit",
    "ServerAliveCountMax",
    "ServerAliveInterval",
    "StrictHostKeyChecking",
    "User",
    "UserKnownHostsFile",
];

/// Keywords of a file that would change the safety of the connection, or its way, and that ferryline
/// does not support, each with the value that has no effect.
const WARNED: [(&str, &str); 9] = [
    ("bindinterface", ""),
    ("casignaturealgorithms", ""),
    ("checkhostip", "no"),
    ("knownhostscommand", "none"),
    ("nohostauthenticationforlocalhost", "no"),
    ("pkcs11provider", "none"),
    ("requiredrsasize", ""),
    ("revokedhostkeys", "none"),
    ("verifyhostkeydns", "no"),
];

/// Writes one value into the settings, if the value alone suffices. Values that are paths, or that name
/// the way to the host, are only checked. `false`: the keyword is not honoured.
///
/// # Errors
///
/// The expected form of the value.
pub(super) fn one(keyword: &str, value: &str, settings: &mut Settings) -> Result<bool, String> {
    if let Some(kind) = algorithms(keyword) {
        let list: AlgorithmList = value.parse().map_err(|_| "ALGORITHM[,…]".to_owned())?;
        list.check(kind)
            .map_err(|reason| format!("known algorithms: {reason}"))?;
        let field = match keyword {
            "ciphers" => &mut settings.ciphers,
            "hostkeyalgorithms" => &mut settings.host_key_algorithms,
            "kexalgorithms" => &mut settings.kex_algorithms,
            "macs" => &mut settings.macs,
            _ => &mut settings.pubkey_algorithms,
        };
        *field = Some(list);
        return Ok(true);
    }
    match keyword {
        "addressfamily" => {
            settings.address_family = match value.to_ascii_lowercase().as_str() {
                "any" => AddressFamily::Any,
                "inet" => AddressFamily::Inet,
                "inet6" => AddressFamily::Inet6,
                _ => return Err("any|inet|inet6".to_owned()),
            };
        }
        "batchmode" => settings.batch_mode = yes_no(value)?,
        "bindaddress" => settings.bind_address = Some(value.to_owned()),
        "compression" => settings.compression = yes_no(value)?,
        "connecttimeout" => {
            if !is_none(value) {
                let limit = time(value)?;
                settings.connect_timeout = limit.max(Duration::from_secs(1));
            }
        }
        "hostkeyalias" => settings.host_key_alias = Some(value.to_owned()),
        "hostname" => settings.host = value.to_owned(),
        "identitiesonly" => settings.identities_only = yes_no(value)?,
        "kbdinteractiveauthentication" => {
            settings.kbd_interactive_authentication = yes_no(value)?;
        }
        "numberofpasswordprompts" => {
            settings.password_prompts = number(value)?;
        }
        "passwordauthentication" => settings.password_authentication = yes_no(value)?,
        "port" => settings.port = value.parse().ok().filter(|&port| port != 0).ok_or("PORT")?,
        "preferredauthentications" => {
            let methods = value.split(',').map(|method| method.trim().to_owned());
            settings.preferred_authentications = Some(methods.collect());
        }
        "pubkeyauthentication" => settings.pubkey_authentication = pubkey(value)?,
        "rekeylimit" => (settings.rekey_limit, settings.rekey_interval) = rekey(value)?,
        "serveralivecountmax" => {
            settings.alive_count_max = number(value)?;
        }
        "serveraliveinterval" => {
            let interval = time(value)?;
            settings.alive_interval = Some(interval).filter(|interval| !interval.is_zero());
        }
        "stricthostkeychecking" => {
            settings.strict_host_key_checking = match value.to_ascii_lowercase().as_str() {
                "yes" | "true" => StrictHostKeyChecking::Yes,
                "accept-new" => StrictHostKeyChecking::AcceptNew,
                "ask" => StrictHostKeyChecking::Ask,
                "no" | "off" | "false" => StrictHostKeyChecking::No,
                _ => return Err("yes|accept-new|ask|no".to_owned()),
            };
        }
        "user" => settings.user = value.to_owned(),
        "certificatefile"
        | "globalknownhostsfile"
        | "identityagent"
        | "identityfile"
        | "proxycommand"
        | "proxyjump"
        | "userknownhostsfile" => {}
        _ => return Ok(false),
    }
    Ok(true)
}

impl Request {
    /// The settings of the values, with ssh's defaults for files; without the way to the host.
    pub(super) fn apply(&self, values: &Values) -> Result<Settings, Failure> {
        let mut settings = Settings::new(self.host.as_str(), 22, "");
        for (keyword, value) in values.iter() {
            one(keyword, value, &mut settings).map_err(|expected| {
                Failure::Usage(format!(
                    "in the ssh configuration, {keyword} is '{value}': expected {expected}"
                ))
            })?;
        }
        if let Some(port) = self.port {
            settings.port = port;
        }
        if let Some(user) = &self.user {
            settings.user.clone_from(user);
        }
        if settings.user.is_empty() {
            settings.user = super::tokens::own_name().ok_or_else(|| {
                Failure::Usage("no user to log in as: give USER@HOST or -l USER".into())
            })?;
        }
        let tokens = Tokens::of(&self.host, &settings);
        self.files(values, &tokens, &mut settings)
            .map_err(|reason| Failure::Usage(format!("in the ssh configuration, {reason}")))?;
        warn(values);
        Ok(settings)
    }

    fn files(
        &self,
        values: &Values,
        tokens: &Tokens,
        settings: &mut Settings,
    ) -> Result<(), String> {
        settings.agent = match values.first("identityagent") {
            None | Some("SSH_AUTH_SOCK") => socket("SSH_AUTH_SOCK"),
            Some(value) if is_none(value) => None,
            Some(value) => match value
                .strip_prefix('$')
                .filter(|name| !name.starts_with('{'))
            {
                Some(variable) => socket(variable),
                None => Some(tokens.path(value)?),
            },
        };
        settings.global_known_hosts = match values.first("globalknownhostsfile") {
            Some(value) => paths(value, tokens)?,
            None => ["ssh_known_hosts", "ssh_known_hosts2"]
                .map(|file| PathBuf::from("/etc/ssh").join(file))
                .to_vec(),
        };
        settings.known_hosts = match values.first("userknownhostsfile") {
            Some(value) => paths(value, tokens)?,
            None => ["known_hosts", "known_hosts2"]
                .into_iter()
                .filter_map(in_ssh_folder)
                .collect(),
        };
        let of_file = values.all("certificatefile").filter(|path| !is_none(path));
        settings.certificates = of_file
            .map(|path| tokens.path(path))
            .collect::<Result<_, _>>()?;
        let given = self.identities.iter().map(String::as_str);
        let named: Vec<&str> = given.chain(values.all("identityfile")).collect();
        let names = named.iter().filter(|path| !is_none(path));
        settings.identities = names
            .map(|path| {
                tokens.path(path).map(|path| Identity {
                    path,
                    explicit: true,
                })
            })
            .collect::<Result<_, _>>()?;
        if named.is_empty() {
            let usual = DEFAULT_KEYS.into_iter().filter_map(in_ssh_folder);
            settings.identities = usual
                .map(|path| Identity {
                    path,
                    explicit: false,
                })
                .collect();
        }
        Ok(())
    }
}

fn warn(values: &Values) {
    for (keyword, harmless) in WARNED {
        let set = values.first(keyword);
        if let Some(value) = set.filter(|value| !value.eq_ignore_ascii_case(harmless)) {
            tracing::warn!(
                "the ssh configuration says {keyword} {value}, which ferryline does not support"
            );
        }
    }
    if values.is_yes("canonicalizehostname") && values.first("hostname").is_none() {
        tracing::warn!("CanonicalizeHostname needs the program ssh, which is not installed here");
    }
}

fn socket(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable)
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
}

fn paths(value: &str, tokens: &Tokens) -> Result<Vec<PathBuf>, String> {
    if is_none(value) {
        return Ok(Vec::new());
    }
    words(value).iter().map(|path| tokens.path(path)).collect()
}

fn yes_no(value: &str) -> Result<bool, String> {
    match value.to_ascii_lowercase().as_str() {
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        _ => Err("yes|no".to_owned()),
    }
}

/// Reads yes, no, `unbound` or `host-bound`. The last two bind a log-in to its host key, or not, which
/// concerns agents only.
fn pubkey(value: &str) -> Result<bool, String> {
    match value.to_ascii_lowercase().as_str() {
        "unbound" | "host-bound" => Ok(true),
        value => yes_no(value),
    }
}

/// Largest number, as in ssh.
const MOST: u32 = i32::MAX.cast_unsigned();

fn number(value: &str) -> Result<usize, String> {
    let number = value.parse().ok().filter(|&number: &u32| number <= MOST);
    let number = number.ok_or_else(|| format!("NUMBER, at most {MOST}"))?;
    usize::try_from(number).map_err(|_| "a smaller NUMBER".to_owned())
}

/// A span of time as ssh writes it: seconds, or numbers with units, such as `1h30m`.
fn time(value: &str) -> Result<Duration, String> {
    span(value)
        .filter(|&time| time <= Duration::from_secs(MOST.into()))
        .ok_or_else(|| format!("SECONDS, or a time such as 1h30m, at most {MOST} s"))
}

/// Reads `BYTES[K|M|G] [TIME]`, where `default`, `none` and 0 set no limit of their own.
fn rekey(value: &str) -> Result<(Option<u64>, Option<Duration>), String> {
    const EXPECTED: &str = "BYTES[K|M|G] [TIME]";
    let mut words = value.split_whitespace();
    let bytes = match words.next() {
        None => return Err(EXPECTED.to_owned()),
        Some(word) if word.eq_ignore_ascii_case("default") || is_none(word) => None,
        Some(word) => Some(size(word).ok_or(EXPECTED)?).filter(|&bytes| bytes > 0),
    };
    let interval = match words.next() {
        None => None,
        Some(word) if is_none(word) => None,
        Some(word) => {
            let time = time(word).map_err(|expected| format!("{EXPECTED}; TIME is {expected}"))?;
            Some(time).filter(|time| !time.is_zero())
        }
    };
    match words.next() {
        None => Ok((bytes, interval)),
        Some(_) => Err(EXPECTED.to_owned()),
    }
}

fn size(word: &str) -> Option<u64> {
    let unit = match word.chars().last()?.to_ascii_lowercase() {
        'k' => 1 << 10,
        'm' => 1 << 20,
        'g' => 1 << 30,
        _ => 1,
    };
    let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let letters = word.len() - digits.len();
    let number: u64 = digits.parse().ok()?;
    (letters == usize::from(unit > 1)).then(|| number.checked_mul(unit))?
}

const DEFAULT_KEYS: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time() {
        for (text, seconds) in [
            ("0", 0),
            ("90", 90),
            ("1h30m", 5400),
            ("2d", 172_800),
            ("1m5", 65),
        ] {
            assert_eq!(time(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "m", "1x", "-1", "99999999999999999999"] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rekey_limits() {
        let hour = Some(Duration::from_secs(3600));
        assert_eq!(rekey("1G 1h"), Ok((Some(1 << 30), hour)));
        assert_eq!(rekey("512K"), Ok((Some(512 << 10), None)));
        assert_eq!(rekey("default none"), Ok((None, None)));
        assert_eq!(rekey("0 3600"), Ok((None, hour)));
        for text in ["x", "1GG", "G", "1G 1h 1", "1T"] {
            assert!(rekey(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_honoured_keyword_is_one() {
        for keyword in HONOURED {
            let keyword = keyword.to_ascii_lowercase();
            let honoured = one(&keyword, "?", &mut Settings::new("", 22, ""));
            assert_ne!(honoured, Ok(false), "{keyword}");
        }
    }
}
