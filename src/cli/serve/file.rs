//! The file of `serve`: its tables, as validated settings.

use std::{collections::BTreeMap, path::Path};

use clap::{CommandFactory, FromArgMatches, Parser};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    problem::Problems,
    table::{Keys, Said, nearest, reason},
};
use crate::{
    bounded_file::{CONFIG_LIMIT, read_text},
    cli::{
        Failure, Verbosity,
        forward::{LocalArguments, TunnelArguments},
        limits::{Budget, MAX_SESSIONS, SESSIONS},
        range::size,
        ssh_options::SshArguments,
    },
    proxy::{ForwardSpec, Options},
    serve::{Configuration, TunnelSettings},
    ssh::Settings,
};

/// What the file says.
pub(super) struct Contents {
    pub(super) configuration: Configuration,
    pub(super) verbosity: Verbosity,
    /// What is not wrong, but probably not meant.
    pub(super) warnings: Vec<String>,
}

/// A table `[ssh.NAME]`.
#[derive(Debug, Parser)]
#[command(name = "ssh", no_binary_name = true, disable_help_flag = true)]
struct SshTable {
    #[command(flatten)]
    ssh: SshArguments,
}

/// A table `[tunnel.NAME]`.
#[derive(Debug, Parser)]
#[command(name = "tunnel", no_binary_name = true, disable_help_flag = true)]
struct TunnelTable {
    #[command(flatten)]
    local: LocalArguments,
    #[command(flatten)]
    tunnel: TunnelArguments,
}

/// The table `[limits]`.
#[derive(Debug, Parser)]
#[command(name = "limits", no_binary_name = true, disable_help_flag = true)]
struct LimitsTable {
    /// Clients served at once, over all tunnels; one more gets 421
    #[arg(long, value_name = "N", default_value_t = MAX_SESSIONS, value_parser = SESSIONS.parser())]
    max_sessions: u32,
}

/// The table `[log]`.
#[derive(Debug, Parser)]
#[command(name = "log", no_binary_name = true, disable_help_flag = true)]
struct LogTable {
    /// What is logged: 1 connections, 2 each line of control connections, 3 SSH; 0 warnings and what was carried
    ///
    /// As often as -v is given to 'forward'. Read at the start only; -v of 'serve' adds to it.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=3))]
    verbose: u8,
}

/// The tables, each with its keys.
pub(super) fn tables() -> [(&'static str, Keys); 4] {
    [
        ("tunnel", keys::<TunnelTable>("[tunnel.NAME]".into())),
        ("ssh", keys::<SshTable>("[ssh.NAME]".into())),
        ("limits", keys::<LimitsTable>("[limits]".into())),
        ("log", keys::<LogTable>("[log]".into())),
    ]
}

/// The key of a tunnel that names its SSH connection.
pub(super) const SSH: &str = "ssh";

/// Reads and validates the file. Each line of the error has its place in the file.
pub(super) fn read(file: &Path) -> Result<Contents, Vec<String>> {
    let text = read_text(file, CONFIG_LIMIT)
        .map_err(|error| vec![format!("cannot read {}: {error}", file.display())])?;
    let mut contents = parse(file, &text)?;
    contents.warnings.extend(open_to_others(file));
    Ok(contents)
}

fn parse(file: &Path, text: &str) -> Result<Contents, Vec<String>> {
    let mut problems = Problems::of(file, text);
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let at = error.span().map_or(0, |span| span.start);
        problems.add(at, "", error.message());
    }
    // What is behind a syntax error would be misread.
    if !problems.are_none() {
        return Err(problems.into_lines());
    }
    let mut reader = Reader {
        problems,
        ssh: BTreeMap::new(),
        tunnels: BTreeMap::new(),
        max_sessions: size(MAX_SESSIONS),
        verbose: 0,
    };
    reader.document(document.get_ref());
    reader.finish()
}

/// What was read so far.
struct Reader<'a> {
    problems: Problems<'a>,
    /// `None`: there is something wrong with it.
    ssh: BTreeMap<String, (usize, Option<Settings>)>,
    tunnels: BTreeMap<String, Tunnel>,
    max_sessions: usize,
    verbose: u8,
}

/// A tunnel that was read.
struct Tunnel {
    ssh: Option<(usize, String)>,
    /// Where each of its forwards stands.
    forwards: Vec<(usize, ForwardSpec)>,
    settings: Option<(Vec<ForwardSpec>, Options)>,
    said: Vec<String>,
}

impl Reader<'_> {
    fn document(&mut self, document: &DeTable<'_>) {
        for (key, value) in by_place(document) {
            let (at, name) = (key.span().start, key.get_ref().as_ref());
            let DeValue::Table(table) = value.get_ref() else {
                let text = match TABLES.contains(&name) {
                    true => format!("expected a table, [{name}]"),
                    false => format!("there is no key '{name}' outside of the tables"),
                };
                self.problems.add(at, "", text);
                continue;
            };
            match name {
                "ssh" => self.named(table, "ssh", Self::ssh),
                "tunnel" => self.named(table, "tunnel", Self::tunnel),
                "limits" => self.limits(at, table),
                "log" => self.log(at, table),
                other => {
                    let known = TABLES.map(str::to_owned);
                    let text = match nearest(other, &known) {
                        Some(near) => {
                            format!("there is no table [{other}]; did you mean [{near}]?")
                        }
                        None => format!(
                            "there is no table [{other}]; there are [ssh.NAME], [tunnel.NAME], [limits] and [log]"
                        ),
                    };
                    self.problems.add(at, "", text);
                }
            }
        }
    }

    /// Reads tables that have a name each.
    fn named(
        &mut self,
        tables: &DeTable<'_>,
        kind: &str,
        read: impl Fn(&mut Self, usize, &str, &DeTable<'_>),
    ) {
        for (key, value) in by_place(tables) {
            let (at, name) = (key.span().start, key.get_ref().as_ref());
            let table = format!("[{kind}.{name}]");
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
            match value.get_ref() {
                DeValue::Table(_) if name.is_empty() || !name.chars().all(is_plain) => {
                    let text = "a name has letters, digits, '-' and '_' only";
                    self.problems.add(at, &table, text);
                }
                DeValue::Table(found) => read(self, at, name, found),
                _ => {
                    let text = format!(
                        "'{name}' is no table: this belongs into one with a name, [{kind}.NAME]"
                    );
                    self.problems.add(at, &format!("[{kind}]"), text);
                }
            }
        }
    }

    fn ssh(&mut self, at: usize, name: &str, table: &DeTable<'_>) {
        let keys = keys::<SshTable>(format!("[ssh.{name}]"));
        let before = self.problems.number();
        let said = keys.words(table, &[], &mut self.problems);
        let has = |wanted: &str| said.iter().any(|said| said.key == wanted);
        let settings = if self.problems.number() > before {
            None
        } else if !has("destination") {
            let text = "destination is missing, such as destination = \"me@ssh.example\"";
            self.problems.add(at, keys.table(), text);
            None
        } else {
            let config = (!has("config")).then(|| "-F=none".to_owned());
            // The first counts, as in ssh.
            let words = ["-o=BatchMode=yes".to_owned()].into_iter().chain(config);
            self.whole::<SshTable, _>(&keys, words, &said, at, |table| table.ssh.settings())
        };
        let settings = settings.map(Settings::unattended);
        self.ssh.insert(name.to_owned(), (at, settings));
    }

    fn tunnel(&mut self, at: usize, name: &str, table: &DeTable<'_>) {
        let keys = keys::<TunnelTable>(format!("[tunnel.{name}]"));
        let before = self.problems.number();
        let said = keys.words(table, &[SSH], &mut self.problems);
        let entry = table.iter().find(|(key, _)| key.get_ref() == SSH);
        let ssh = match entry.map(|(key, value)| (key.span().start, value.get_ref())) {
            Some((at, DeValue::String(ssh))) => Some((at, ssh.to_string())),
            Some((at, _)) => {
                let text = "expected the name of a table [ssh.NAME]";
                self.problems.add(at, &keys.place(SSH), text);
                None
            }
            None => {
                let text = "ssh is missing: the name of a table [ssh.NAME]";
                self.problems.add(at, keys.table(), text);
                None
            }
        };
        let mut forwards = Vec::new();
        for said in said.iter().filter(|said| said.key == LOCAL_FORWARD) {
            for word in &said.words {
                let text = word.trim_start_matches("-L=");
                match text.parse::<ForwardSpec>() {
                    Ok(spec) => forwards.push((said.at, spec)),
                    Err(error) => {
                        let text = keys.in_keys(&error.to_string());
                        self.problems.add(said.at, &keys.place(LOCAL_FORWARD), text);
                    }
                }
            }
        }
        if !table.iter().any(|(key, _)| key.get_ref() == LOCAL_FORWARD) {
            let text = "local-forward is missing, such as local-forward = \"2121:localhost:21\"";
            self.problems.add(at, keys.table(), text);
        }
        // What has no effect is warned of: the log says in which table.
        let in_log = tracing::error_span!("tunnel", %name).entered();
        let settings = if self.problems.number() > before {
            None
        } else {
            self.whole::<TunnelTable, _>(&keys, [], &said, at, |table| {
                table.tunnel.apply(table.local.specs()?, &table.local)
            })
        };
        drop(in_log);
        if let Some((specs, _)) = &settings {
            // As `-g` has completed them.
            for ((_, forward), spec) in forwards.iter_mut().zip(specs) {
                forward.clone_from(spec);
            }
        }
        let said = said.into_iter().flat_map(|said| said.words);
        let tunnel = Tunnel {
            ssh,
            forwards,
            settings,
            said: said.collect(),
        };
        self.tunnels.insert(name.to_owned(), tunnel);
    }

    fn limits(&mut self, at: usize, table: &DeTable<'_>) {
        let keys = keys::<LimitsTable>("[limits]".into());
        let said = keys.words(table, &[], &mut self.problems);
        let read = |table: LimitsTable| Ok(size(table.max_sessions));
        if let Some(most) = self.whole::<LimitsTable, _>(&keys, [], &said, at, read) {
            self.max_sessions = most;
        }
    }

    fn log(&mut self, at: usize, table: &DeTable<'_>) {
        let keys = keys::<LogTable>("[log]".into());
        let said = keys.words(table, &[], &mut self.problems);
        let read = |table: LogTable| Ok(table.verbose);
        if let Some(verbose) = self.whole::<LogTable, _>(&keys, [], &said, at, read) {
            self.verbose = verbose;
        }
    }

    /// Reads all keys of a table together.
    fn whole<T: FromArgMatches + CommandFactory, V>(
        &mut self,
        keys: &Keys,
        before: impl IntoIterator<Item = String>,
        said: &[Said],
        at: usize,
        read: impl FnOnce(T) -> Result<V, Failure>,
    ) -> Option<V> {
        let is_last = |said: &&Said| said.words.first().is_some_and(|word| word == "--");
        let words = said.iter().filter(|said| !is_last(said));
        let words = words.chain(said.iter().filter(is_last));
        let words = words.flat_map(|said| said.words.iter().cloned());
        let words = before.into_iter().chain(words);
        let text = match T::command().try_get_matches_from(words) {
            Ok(matches) => match T::from_arg_matches(&matches).map(read) {
                Ok(Ok(value)) => return Some(value),
                Ok(Err(Failure::Usage(text) | Failure::Failed(text))) => text,
                Err(error) => reason(&error),
            },
            Err(error) => reason(&error),
        };
        let (at, place) = match keys.blamed(&text, said) {
            Some(blamed) => (blamed.at, keys.place(&blamed.key)),
            None => (at, keys.table().to_owned()),
        };
        self.problems.add(at, &place, keys.in_keys(&text));
        None
    }

    /// Checks what the tables say of each other.
    fn finish(mut self) -> Result<Contents, Vec<String>> {
        self.ssh_names();
        self.ports();
        if self.tunnels.is_empty() {
            self.problems.add(0, "", "there is no table [tunnel.NAME]");
        }
        if !self.problems.are_none() {
            return Err(self.problems.into_lines());
        }
        let used = |ssh: &str| {
            self.tunnels
                .values()
                .any(|tunnel| tunnel.ssh.as_ref().is_some_and(|(_, used)| used == ssh))
        };
        let unused = self.ssh.iter().filter(|(name, _)| !used(name));
        let warnings = unused
            .map(|(name, (at, _))| {
                let line = self.problems.line(*at);
                let file = self.problems.file();
                format!("{file}:{line}: [ssh.{name}]: no tunnel uses it, so it is not connected")
            })
            .collect();
        let mut ssh: BTreeMap<String, Settings> = self
            .ssh
            .iter()
            .filter(|(name, _)| used(name))
            .filter_map(|(name, (_, settings))| Some((name.clone(), settings.clone()?)))
            .collect();
        let mut refusals = 0;
        let mut tunnels = BTreeMap::new();
        for (name, tunnel) in self.tunnels {
            let (Some((_, ssh)), Some((forwards, mut options))) = (tunnel.ssh, tunnel.settings)
            else {
                continue;
            };
            options.tunnel = Some(name.as_str().into());
            let said = tunnel.said;
            tunnels.insert(
                name,
                TunnelSettings {
                    ssh,
                    forwards,
                    options,
                    said,
                },
            );
        }
        Budget {
            lanes: ssh.values_mut().map(|ssh| &mut ssh.lanes).collect(),
            forwards: tunnels.values().map(|tunnel| tunnel.forwards.len()).sum(),
            sessions: &mut self.max_sessions,
            refusals: &mut refusals,
        }
        .fit();
        Ok(Contents {
            configuration: Configuration {
                ssh,
                tunnels,
                max_sessions: self.max_sessions,
                refusals,
            },
            verbosity: Verbosity::of(self.verbose),
            warnings,
        })
    }

    fn ssh_names(&mut self) {
        let names: Vec<String> = self.ssh.keys().cloned().collect();
        for (name, tunnel) in &self.tunnels {
            let Some((at, ssh)) = &tunnel.ssh else {
                continue;
            };
            if self.ssh.contains_key(ssh) {
                continue;
            }
            let text = match nearest(ssh, &names) {
                Some(near) => format!("there is no table [ssh.{ssh}]; did you mean \"{near}\"?"),
                None => format!("there is no table [ssh.{ssh}]"),
            };
            self.problems
                .add(*at, &format!("[tunnel.{name}] {SSH}"), text);
        }
    }

    /// Refuses two tunnels that listen at one place.
    fn ports(&mut self) {
        let mut all: Vec<(usize, &str, &ForwardSpec)> = self
            .tunnels
            .iter()
            .flat_map(|(name, tunnel)| {
                let forwards = tunnel.forwards.iter();
                forwards.map(move |(at, spec)| (*at, name.as_str(), spec))
            })
            .collect();
        all.sort_by_key(|(at, ..)| *at);
        let mut found = Vec::new();
        for (second, (at, name, spec)) in all.iter().enumerate() {
            let mut before = all.iter().take(second);
            // Those of one tunnel are told as they are on the command line.
            let meets = |(_, other_name, other): &&(usize, &str, &ForwardSpec)| {
                other_name != name && spec.collides_with(other)
            };
            if let Some((other_at, other, _)) = before.find(meets) {
                let line = self.problems.line(*other_at);
                let text = format!(
                    "[tunnel.{other}] listens on port {} too (line {line}): give one of them another port (0 takes \
                     any free one)",
                    spec.port
                );
                found.push((*at, format!("[tunnel.{name}] {LOCAL_FORWARD}"), text));
            }
        }
        for (at, place, text) in found {
            self.problems.add(at, &place, text);
        }
    }
}

const TABLES: [&str; 4] = ["ssh", "tunnel", "limits", "log"];

const LOCAL_FORWARD: &str = "local-forward";

fn keys<T: CommandFactory>(table: String) -> Keys {
    Keys::new(T::command(), table)
}

/// The entries of a table in the order of the file.
fn by_place<'a, 'i>(
    table: &'a DeTable<'i>,
) -> Vec<(
    &'a Spanned<toml::de::DeString<'i>>,
    &'a Spanned<DeValue<'i>>,
)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// Warns of a file that others may change: it has commands in it that are run (ProxyCommand), and says who may
/// come.
#[cfg(unix)]
fn open_to_others(file: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt;

    let mode = std::fs::metadata(file).ok()?.permissions().mode() & 0o777;
    let file = file.display();
    (mode & 0o022 != 0).then(|| {
        format!("others may change {file} (mode {mode:04o}), and with it who may come and what is run: chmod go-w {file}")
    })
}

#[cfg(not(unix))]
fn open_to_others(_: &Path) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use std::{net::IpAddr, time::Duration};

    use super::*;
    use crate::{control::ActiveMode, ssh::Way};

    const SSH: &str = "[ssh.dc1]\ndestination = \"ferry@127.0.0.1:2222\"\n";

    fn parsed(text: &str) -> Result<Contents, Vec<String>> {
        parse(Path::new("f"), text)
    }

    fn configured(text: &str) -> Configuration {
        parsed(text)
            .unwrap_or_else(|problems| panic!("{problems:#?}"))
            .configuration
    }

    /// The only problem of a file.
    fn problem(text: &str) -> String {
        let mut problems = parsed(text)
            .err()
            .unwrap_or_else(|| panic!("it is right:\n{text}"));
        assert_eq!(problems.len(), 1, "{text}\n{problems:#?}");
        problems.remove(0)
    }

    #[test]
    fn a_tunnel_says_what_forward_says() {
        let text = "\
            [ssh.dc1]\n\
            destination = \"a.example\"\n\
            login = \"ferry\"\n\
            port = 2222\n\
            identity = [\"/k1\", \"/k2\"]\n\
            jump = \"me@lab.example\"\n\
            lanes = 4\n\
            option = { ServerAliveInterval = 30, Compression = true, Ciphers = [\"aes256-ctr\", \"aes128-ctr\"],\n\
            \x20 UserKnownHostsFile = [\"/a b\", \"/c\"] }\n\
            [tunnel.erp]\n\
            ssh = \"dc1\"\n\
            local-forward = [\"2121:localhost:21\", \"tcp/127.0.0.1:2222:db:5432\"]\n\
            gateway-ports = true\n\
            allow-from = [\"192.0.2.0/24\", \"198.51.100.7\"]\n\
            max-sessions = 0x10\n\
            idle = \"2h\"\n\
            login-time = 90\n\
            active = \"passive\"\n\
            data-ports = \"50000-50099\"\n\
            advertise = \"203.0.113.5\"\n\
            record = \"/var/lib/x\"\n\
            record-keep = [\"1000\", \"2G\"]\n\
            [limits]\n\
            max-sessions = 9\n\
            [log]\n\
            verbose = 2\n";
        let contents = parsed(text).unwrap_or_else(|problems| panic!("{problems:#?}"));
        assert_eq!(contents.verbosity.verbose, 2);
        let configuration = contents.configuration;
        assert_eq!(configuration.max_sessions, 9);
        let ssh = &configuration.ssh["dc1"];
        assert_eq!(ssh.destination(), "ferry@a.example:2222");
        let keys: Vec<_> = ssh
            .identities
            .iter()
            .map(|key| key.path.to_str().unwrap())
            .collect();
        assert_eq!(keys, ["/k1", "/k2"]);
        assert_eq!(ssh.lanes, 4);
        assert_eq!(ssh.alive_interval, Some(Duration::from_secs(30)));
        assert!(ssh.compression && ssh.batch_mode);
        assert_eq!(
            ssh.ciphers.as_ref().unwrap().to_string(),
            "aes256-ctr,aes128-ctr"
        );
        let hosts: Vec<_> = ssh
            .known_hosts
            .iter()
            .map(|file| file.to_str().unwrap())
            .collect();
        assert_eq!(hosts, ["/a b", "/c"]);
        let Way::Jump(hop) = &ssh.way else {
            panic!("{:?}", ssh.way);
        };
        assert!(hop.batch_mode && hop.host == "lab.example");
        let erp = &configuration.tunnels["erp"];
        assert_eq!(erp.ssh, "dc1");
        assert_eq!(erp.forwards.len(), 2);
        assert_eq!(erp.forwards[0].bind.as_deref(), Some("*"));
        assert_eq!(erp.forwards[1].bind.as_deref(), Some("127.0.0.1"));
        let options = &erp.options;
        assert_eq!(options.gateway.allow_from.len(), 2);
        assert_eq!(
            options.gateway.advertise,
            Some(IpAddr::from([203, 0, 113, 5]))
        );
        assert!(options.gateway.data_ports.is_some());
        assert_eq!(options.max_sessions, 16);
        assert_eq!(options.limits.idle, Some(Duration::from_secs(7200)));
        assert_eq!(options.limits.login, Some(Duration::from_secs(90)));
        assert_eq!(options.active, ActiveMode::Passive);
        assert_eq!(options.record.as_deref(), Some(Path::new("/var/lib/x")));
        assert_eq!(options.record_keep.files, Some(1000));
        assert_eq!(options.record_keep.bytes, Some(2 << 30));
    }

    /// Each of them stands on line 6.
    #[test]
    fn each_mistake_has_its_line_and_its_key() {
        for (line, says) in [
            (
                "max-sesions = 3",
                "[tunnel.erp]: there is no key 'max-sesions'; did you mean 'max-sessions'?",
            ),
            (
                "max_sessions = 3",
                "[tunnel.erp]: there is no key 'max_sessions'; did you mean 'max-sessions'?",
            ),
            (
                "shadow = 1",
                "[tunnel.erp]: there is no key 'shadow'; there are local-forward, ",
            ),
            (
                "destination = \"x\"",
                "[tunnel.erp]: there is no key 'destination'",
            ),
            (
                "max-sessions = 0",
                "[tunnel.erp] max-sessions: '0': expected from 1 to at most 65536 (no process has",
            ),
            (
                "max-sessions = -3",
                "[tunnel.erp] max-sessions: '-3': not a number",
            ),
            (
                "max-sessions = 1.5",
                "[tunnel.erp] max-sessions: expected a string or a number, found a number with",
            ),
            (
                "max-sessions = [1]",
                "[tunnel.erp] max-sessions: expected a string or a number, found a list",
            ),
            (
                "active = \"remot\"",
                "[tunnel.erp] active: 'remot' is none of auto, remote, passive",
            ),
            (
                "gateway-ports = \"yes\"",
                "[tunnel.erp] gateway-ports: expected true or false, found a string",
            ),
            (
                "allow-from = \"192.0.2.0/99\"",
                "[tunnel.erp] allow-from: '192.0.2.0/99': ",
            ),
            (
                "allow-from = [true]",
                "[tunnel.erp] allow-from: expected a list of strings, found true or false",
            ),
            (
                "idle = \"soon\"",
                "[tunnel.erp] idle: 'soon': expected seconds, or a time such as",
            ),
            (
                "advertise = \"0.0.0.0\"",
                "[tunnel.erp] advertise: advertise 0.0.0.0: no client could connect to that address",
            ),
            (
                "gateway-ports = true",
                "[tunnel.erp] gateway-ports: port 2121 would be open to other hosts: allow-from has to say",
            ),
            (
                "only-user = \"no such user\"",
                "[tunnel.erp] only-user: only-user: there is no user 'no such user'",
            ),
            (
                "record-keep = 5",
                "[tunnel.erp] record-keep: it has no effect without record, which is missing",
            ),
        ] {
            let text = format!(
                "{SSH}[tunnel.erp]\nssh = \"dc1\"\nlocal-forward = \"2121:localhost:21\"\n{line}\n"
            );
            let problem = problem(&text);
            let says = format!("f:6: {says}");
            assert!(problem.starts_with(&says), "{line}\n{problem}\n{says}");
        }
    }

    #[test]
    fn mistakes_about_ssh_have_their_line_too() {
        for (line, says) in [
            ("port = 0", "f:3: [ssh.dc1] port: '0': "),
            ("port = \"x\"", "f:3: [ssh.dc1] port: 'x': "),
            (
                "lanes = 1025",
                "f:3: [ssh.dc1] lanes: '1025': expected from 0 to at most 1024",
            ),
            ("jump = \"@\"", "f:3: [ssh.dc1] jump: bad jump host '@'"),
            ("option = 3", "f:3: [ssh.dc1] option: expected a table"),
            (
                "option = { VerifyHostKeyDNS = true }",
                "f:3: [ssh.dc1] option: option VerifyHostKeyDNS is not honoured",
            ),
            (
                "[ssh.dc1.option]\nServerAliveInterval = 5\nBatchMode = \"perhaps\"",
                "f:5: [ssh.dc1] option: bad option 'BatchMode=perhaps': expected BatchMode=yes|no",
            ),
            (
                "identity = \"credential:none\"",
                "f:3: [ssh.dc1] identity: 'credential:none': there ",
            ),
        ] {
            let tunnel = "[tunnel.erp]\nssh = \"dc1\"\nlocal-forward = \"2121:localhost:21\"\n";
            let problem = problem(&format!("{SSH}{line}\n{tunnel}"));
            assert!(problem.starts_with(says), "{line}\n{problem}");
        }
    }

    #[test]
    fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
        let text = "\
            key = 1\n\
            [ssh]\n\
            destination = \"x\"\n\
            [ssh.\"a b\"]\n\
            [ssh.one]\n\
            [tunnle.erp]\n\
            [tunnel.erp]\n\
            ssh = \"two\"\n\
            local-forward = \"2121:localhost\"\n\
            [tunnel.b]\n\
            [limits]\n\
            max-sessions = 0\n\
            [metrics]\n";
        let problems = parsed(text).err().unwrap();
        let begins = [
            "f:1: there is no key 'key' outside of the tables",
            "f:3: [ssh]: 'destination' is no table: this belongs into one with a name, [ssh.NAME]",
            "f:4: [ssh.a b]: a name has letters, digits, '-' and '_' only",
            "f:5: [ssh.one]: destination is missing",
            "f:6: there is no table [tunnle]; did you mean [tunnel]?",
            "f:8: [tunnel.erp] ssh: there is no table [ssh.two]",
            "f:9: [tunnel.erp] local-forward: bad local-forward '2121:localhost': 2 fields",
            "f:10: [tunnel.b]: ssh is missing",
            "f:10: [tunnel.b]: local-forward is missing",
            "f:12: [limits] max-sessions: '0': expected from 1",
            "f:13: there is no table [metrics]; there are ",
        ];
        assert_eq!(problems.len(), begins.len(), "{problems:#?}");
        for (problem, begin) in problems.iter().zip(begins) {
            assert!(problem.starts_with(begin), "{problem}\n{begin}");
        }
    }

    #[test]
    fn a_slip_in_the_syntax_has_its_line() {
        for (text, says) in [
            ("[ssh.dc1]\ndestination = \n", "f:2: "),
            ("[ssh.dc1]\n[ssh.dc1]\n", "f:2: duplicate key"),
            ("[ssh.dc1]\nport = 1\nport = 2\n", "f:3: duplicate key"),
        ] {
            let problem = problem(text);
            assert!(problem.starts_with(says), "{text}\n{problem}");
        }
    }

    #[test]
    fn two_tunnels_at_one_port_are_told_with_both_lines() {
        let tunnel = |name: &str, forward: &str| {
            format!("[tunnel.{name}]\nssh = \"dc1\"\nlocal-forward = \"{forward}\"\n")
        };
        for (one, other, port) in [
            ("2121:a:21", "localhost:2121:b:21", Some(2121)),
            ("127.0.0.1:21:a:21", "21:b:21", Some(21)),
            ("0:a:21", "0:b:21", None),
            ("127.0.0.1:2121:a:21", "127.0.0.2:2121:b:21", None),
        ] {
            let text = format!("{SSH}{}{}", tunnel("x", one), tunnel("y", other));
            let Some(port) = port else {
                configured(&text);
                continue;
            };
            assert_eq!(
                problem(&text),
                format!(
                    "f:8: [tunnel.y] local-forward: [tunnel.x] listens on port {port} too (line 5): give one of \
                     them another port (0 takes any free one)"
                )
            );
        }
        // What -g makes of them meets, too.
        let wide = "gateway-ports = true\nallow-from = \"192.0.2.0/24\"\n";
        let text = format!(
            "{SSH}{}{wide}{}",
            tunnel("x", "2121:a:21"),
            tunnel("y", "192.0.2.1:2121:b:21")
        );
        let text = format!("{text}allow-from = \"192.0.2.0/24\"\n");
        assert!(problem(&text).starts_with("f:10: [tunnel.y] local-forward: [tunnel.x] listens"));
    }

    #[test]
    fn what_no_tunnel_uses_is_warned_of_and_not_connected() {
        let text = format!(
            "[ssh.spare]\ndestination = \"h\"\n{SSH}[tunnel.a]\nssh = \"dc1\"\nlocal-forward = \"0:h:21\"\n"
        );
        let contents = parsed(&text).ok().unwrap();
        assert_eq!(
            contents.warnings,
            ["f:1: [ssh.spare]: no tunnel uses it, so it is not connected"]
        );
        assert_eq!(contents.configuration.ssh.len(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_change_is_warned_of() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f.toml");
        std::fs::write(&file, "").unwrap();
        for (mode, warned) in [(0o640, false), (0o644, false), (0o660, true), (0o646, true)] {
            std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
            let warning = open_to_others(&file);
            assert_eq!(warning.is_some(), warned, "{mode:o} {warning:?}");
        }
    }

    /// A key for each option of `forward`, and the other way round.
    #[test]
    fn every_option_of_forward_is_a_key() {
        #[derive(Debug, Parser)]
        struct Forward {
            #[command(flatten)]
            arguments: crate::cli::forward::Arguments,
        }
        let command = Forward::command();
        let mut options: Vec<String> = command
            .get_arguments()
            .filter(|option| !option.get_id().as_str().starts_with('-'))
            .map(super::super::table::name)
            .filter(|name| !["help", "verbose", "quiet"].contains(&name.as_str()))
            .collect();
        let mut keys: Vec<String> = tables()
            .iter()
            .filter(|(kind, _)| ["ssh", "tunnel"].contains(kind))
            .flat_map(|(_, keys)| keys.arguments().map(super::super::table::name))
            .collect();
        options.sort();
        keys.sort();
        assert_eq!(options, keys);
        assert!(keys.len() > 25, "{keys:?}");
    }
}
