//! The file of `serve`: its tables, as validated settings.

use std::{collections::BTreeMap, path::Path};

use clap::{CommandFactory, FromArgMatches};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    problem::Problems,
    table::{Keys, Said, nearest, reason},
    tables::{AuditTable, LimitsTable, LogTable, MetricsTable, SshTable, TunnelTable, keys},
};
use crate::{
    audit,
    bounded_file::{CONFIG_LIMIT, read_text},
    cli::{
        Failure, Verbosity,
        limits::{Budget, MAX_SESSIONS},
        log_form::LogFormat,
        monitoring::MonitorArguments,
        range::size,
    },
    proxy::{ForwardSpec, Options},
    serve::{Configuration, TunnelSettings},
    ssh::Settings,
};

/// What the file says.
pub(super) struct Contents {
    pub(super) configuration: Configuration,
    pub(super) verbosity: Verbosity,
    pub(super) audit: Option<audit::Settings>,
    pub(super) metrics: MonitorArguments,
    /// What is not wrong, but probably not meant.
    pub(super) warnings: Vec<String>,
}

/// The key of a tunnel that names its SSH connection.
pub(super) const SSH: &str = "ssh";

/// Reads and validates the file. Each line of the error has its place in the file. In a rehearsal, what the service
/// manager hands to the service need not be there.
pub(super) fn read(file: &Path, is_rehearsal: bool) -> Result<Contents, Vec<String>> {
    let text = read_text(file, CONFIG_LIMIT)
        .map_err(|error| vec![format!("cannot read {}: {error}", file.display())])?;
    let mut contents = parse(file, &text, is_rehearsal)?;
    contents.warnings.extend(open_to_others(file));
    Ok(contents)
}

fn parse(file: &Path, text: &str, is_rehearsal: bool) -> Result<Contents, Vec<String>> {
    let mut problems = Problems::of(file, text, is_rehearsal);
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
        log_format: None,
        audit: None,
        metrics: MonitorArguments::default(),
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
    log_format: Option<LogFormat>,
    audit: Option<audit::Settings>,
    metrics: MonitorArguments,
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
                "audit" => self.audit(at, table),
                "metrics" => self.metrics(at, table),
                other => {
                    let known = TABLES.map(str::to_owned);
                    let text = match nearest(other, &known) {
                        Some(near) => {
                            format!("there is no table [{other}]; did you mean [{near}]?")
                        }
                        None => format!(
                            "there is no table [{other}]; there are [ssh.NAME], [tunnel.NAME], [limits], [log], \
                             [audit] and [metrics]"
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
            self.whole::<SshTable, _>(&keys, words, &said, at, |table| table.settings())
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
        let is_empty = |value: &DeValue<'_>| value.as_array().is_some_and(|list| list.is_empty());
        let listens = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
            *key.get_ref() == LOCAL_FORWARD && !is_empty(value.get_ref())
        };
        if !table.iter().any(listens) {
            let text = "local-forward is missing, such as local-forward = \"2121:localhost:21\"";
            self.problems.add(at, keys.table(), text);
        }
        // What has no effect is warned of: the log says in which table.
        let in_log = tracing::error_span!("tunnel", %name).entered();
        let settings = if self.problems.number() > before {
            None
        } else {
            self.whole::<TunnelTable, _>(&keys, [], &said, at, |table| table.apply())
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
        let read = |table: LimitsTable| Ok(size(table.max_sessions()));
        if let Some(most) = self.whole::<LimitsTable, _>(&keys, [], &said, at, read) {
            self.max_sessions = most;
        }
    }

    fn log(&mut self, at: usize, table: &DeTable<'_>) {
        let keys = keys::<LogTable>("[log]".into());
        let said = keys.words(table, &[], &mut self.problems);
        let read = |table: LogTable| Ok((table.verbose(), table.format()));
        if let Some((verbose, format)) = self.whole::<LogTable, _>(&keys, [], &said, at, read) {
            self.verbose = verbose;
            self.log_format = format;
        }
    }

    fn audit(&mut self, at: usize, table: &DeTable<'_>) {
        let keys = keys::<AuditTable>("[audit]".into());
        let said = keys.words(table, &[], &mut self.problems);
        if !table.iter().any(|(key, _)| key.get_ref() == "file") {
            let text = "file is missing, such as file = \"/var/log/ferryline/audit.jsonl\"";
            self.problems.add(at, keys.table(), text);
            return;
        }
        let read = |table: AuditTable| Ok(table.settings());
        self.audit = self.whole::<AuditTable, _>(&keys, [], &said, at, read);
    }

    fn metrics(&mut self, at: usize, table: &DeTable<'_>) {
        let keys = keys::<MetricsTable>("[metrics]".into());
        let said = keys.words(table, &[], &mut self.problems);
        if !table.iter().any(|(key, _)| key.get_ref() == "listen") {
            let text = "listen is missing, such as listen = \"127.0.0.1:9121\"";
            self.problems.add(at, keys.table(), text);
            return;
        }
        let read = |table: MetricsTable| Ok(table.metrics());
        if let Some(metrics) = self.whole::<MetricsTable, _>(&keys, [], &said, at, read) {
            self.metrics = metrics;
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
        let warnings: Vec<String> = unused
            .map(|(name, (at, _))| {
                let line = self.problems.line(*at);
                let file = self.problems.file();
                format!("{file}:{line}: [ssh.{name}]: no tunnel uses it, so it is not connected")
            })
            .collect();
        let warnings = [self.problems.take_warnings(), warnings].concat();
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
            verbosity: Verbosity::of(self.verbose, self.log_format),
            audit: self.audit,
            metrics: self.metrics,
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

const TABLES: [&str; 6] = ["ssh", "tunnel", "limits", "log", "audit", "metrics"];

const LOCAL_FORWARD: &str = "local-forward";

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
mod tests;
