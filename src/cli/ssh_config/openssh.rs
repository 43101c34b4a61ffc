//! The settings of the installed `ssh`: `ssh -G` prints those for a host.
//!
//! It prints a value for every keyword, whether that is set or not. To find out which are set,
//! ferryline asks the same ssh about the same host once more without any configuration (`-F none`): a
//! keyword counts as set if the two answers differ, or if `-o` names it. A file that repeats ssh's
//! own default therefore sets nothing; `ServerAliveInterval 0`, for example, needs `-o` to have an
//! effect.

use std::{
    collections::HashMap,
    io::{self, Read},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use super::{
    super::Failure,
    Request,
    values::{Values, algorithms, canonical},
};
use crate::ssh::AlgorithmList;

/// The values for a host; `None` if no `ssh` is installed.
pub(super) fn resolve(request: &Request) -> Result<Option<Values>, Failure> {
    let Some(resolved) = ask(&arguments(request))? else {
        return Ok(None);
    };
    let plain = ["-F", "none", "--", &request.host].map(str::to_owned);
    let Some(default) = ask(&plain)? else {
        return Ok(None);
    };
    Ok(Some(set(&resolved, &default, request)))
}

fn arguments(request: &Request) -> Vec<String> {
    let mut all = Vec::new();
    let mut pair = |option: &str, value: &str| all.extend([option.to_owned(), value.to_owned()]);
    if let Some(file) = &request.file {
        pair("-F", &file.to_string_lossy());
    }
    if let Some(jump) = &request.jump {
        pair("-J", jump);
    }
    if let Some(port) = request.port {
        pair("-p", &port.to_string());
    }
    if let Some(user) = &request.user {
        pair("-l", user);
    }
    for option in &request.options {
        pair("-o", &option.text);
    }
    // ssh does not get the key files (-i): it drops those that it cannot find, without a message.
    all.extend(["--".to_owned(), request.host.clone()]);
    all
}

/// The values in ssh's answer that are set.
fn set(resolved: &str, default: &str, request: &Request) -> Values {
    let default = answers(default);
    let mut values = Values::default();
    let given = |keyword: &str| request.options.iter().find(|o| o.keyword == keyword);
    for (keyword, found) in &answers(resolved) {
        let keyword = keyword.as_str();
        let always = matches!(keyword, "hostname" | "user" | "port");
        let usual = default.get(keyword);
        if !(always || given(keyword).is_some() || usual != Some(found)) {
            continue;
        }
        for value in found {
            let value = match (given(keyword), algorithms(keyword), usual) {
                // A change to the default list applies to ferryline's own list.
                (Some(option), Some(_), _) => option.value.clone(),
                (None, Some(_), Some(usual)) => {
                    let usual = usual.first().map_or("", String::as_str);
                    AlgorithmList::from_resolved(value, usual)
                        .map_or_else(|| value.clone(), |list| list.to_string())
                }
                _ if keyword.ends_with("knownhostsfile") => match given(keyword) {
                    Some(option) => option.value.clone(),
                    None => quoted(value),
                },
                _ => value.clone(),
            };
            values.add(keyword, value);
        }
    }
    values
}

fn answers(said: &str) -> HashMap<String, Vec<String>> {
    let mut answers: HashMap<String, Vec<String>> = HashMap::new();
    for line in said.lines() {
        if let Some((keyword, value)) = line.split_once(' ') {
            let values = answers.entry(canonical(keyword)).or_default();
            values.push(value.to_owned());
        }
    }
    answers
}

/// Quotes the paths that ssh prints in one line without quotes. After an absolute path, a word that
/// does not look absolute belongs to that path.
fn quoted(paths: &str) -> String {
    let mut all: Vec<String> = Vec::new();
    for word in paths.split(' ') {
        let rooted = |path: &str| path.starts_with(['/', '~', '%', '$']) || path.contains(':');
        match all.last_mut() {
            Some(last) if rooted(last) && !rooted(word) => {
                last.push(' ');
                last.push_str(word);
            }
            _ => all.push(word.to_owned()),
        }
    }
    let quoted = all.iter().map(|path| match path.contains(' ') {
        true => format!("\"{path}\""),
        false => path.clone(),
    });
    quoted.collect::<Vec<_>>().join(" ")
}

/// Runs `ssh -G`; `None` if no `ssh` is installed.
fn ask(arguments: &[String]) -> Result<Option<String>, Failure> {
    let failed = |reason: String| Failure::Failed(format!("ssh -G {}: {reason}", shown(arguments)));
    // -T keeps it from complaining that there is no terminal.
    let mut command = Command::new("ssh");
    command
        .args(["-T", "-G"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error.to_string())),
    };
    let out = collect(child.stdout.take());
    let err = collect(child.stderr.take());
    let deadline = Instant::now() + LIMIT;
    let said = out.recv_timeout(LIMIT);
    let complained = err.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    let (Ok(said), Ok(complained)) = (said, complained) else {
        let _ = child.kill();
        let _ = child.wait();
        return Err(failed(format!(
            "no answer within {} s (perhaps a slow 'Match exec')",
            LIMIT.as_secs()
        )));
    };
    let status = child.wait().map_err(|error| failed(error.to_string()))?;
    if !status.success() {
        let lines: Vec<&str> = complained
            .lines()
            .map(str::trim)
            .filter(|l| !l.is_empty())
            .collect();
        return Err(Failure::Usage(format!("ssh says: {}", lines.join("; "))));
    }
    for line in complained.lines() {
        tracing::warn!("ssh says: {}", line.escape_debug());
    }
    Ok(Some(said))
}

/// Reads a pipe to its end on a thread of its own.
fn collect(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut all = Vec::new();
        if let Some(pipe) = pipe {
            let _ = pipe.take(MOST).read_to_end(&mut all);
        }
        let _ = sender.send(String::from_utf8_lossy(&all).into_owned());
    });
    receiver
}

fn shown(arguments: &[String]) -> String {
    arguments.last().cloned().unwrap_or_default()
}

/// Time limit for `ssh -G`. A Match may run commands that use the network first.
const LIMIT: Duration = Duration::from_secs(20);
const MOST: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::{super::GivenOption, *};

    /// What OpenSSH 9.2 prints for an unconfigured host, shortened.
    const PLAIN: &str = "host x\nuser root\nhostname x\nport 22\naddressfamily any\nbatchmode no\n\
        compression no\nidentitiesonly no\npubkeyauthentication true\nstricthostkeychecking ask\n\
        serveralivecountmax 3\nserveraliveinterval 0\n\
        ciphers chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr,aes128-gcm@openssh.com,aes256-gcm@openssh.com\n\
        macs umac-64-etm@openssh.com,hmac-sha2-256\n\
        identityfile ~/.ssh/id_rsa\nidentityfile ~/.ssh/id_ed25519\n\
        globalknownhostsfile /etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2\n\
        userknownhostsfile /root/.ssh/known_hosts /root/.ssh/known_hosts2\n\
        connecttimeout none\nrekeylimit 0 0\n";

    fn changed(changes: &[(&str, &str)], options: &[&str]) -> Values {
        let mut resolved = PLAIN.to_owned();
        for (from, to) in changes {
            assert!(resolved.contains(from), "{from}");
            resolved = resolved.replace(from, to);
        }
        let request = Request {
            host: "x".into(),
            options: options
                .iter()
                .map(|o| GivenOption::parse(o).unwrap().unwrap())
                .collect(),
            ..Request::default()
        };
        set(&resolved, PLAIN, &request)
    }

    #[test]
    fn nothing_is_set_where_nobody_has_set_anything() {
        let values = changed(&[], &[]);
        let mut left: Vec<_> = values.iter().map(|(keyword, _)| keyword).collect();
        left.sort_unstable();
        assert_eq!(left, ["hostname", "port", "user"]);
    }

    #[test]
    fn what_differs_is_set() {
        let values = changed(
            &[
                ("hostname x", "hostname x.example"),
                ("connecttimeout none", "connecttimeout 3600"),
                (
                    "identityfile ~/.ssh/id_rsa\n",
                    "identityfile ~/.ssh/%h-key\n",
                ),
                (
                    "rekeylimit 0 0\n",
                    "rekeylimit 1024 0\nproxyjump a,me@b:33\nbindaddress ::1\n",
                ),
            ],
            &[],
        );
        assert_eq!(values.first("hostname"), Some("x.example"));
        assert_eq!(values.first("connecttimeout"), Some("3600"));
        assert_eq!(values.first("proxyjump"), Some("a,me@b:33"));
        assert_eq!(values.first("bindaddress"), Some("::1"));
        assert_eq!(
            values.all("identityfile").collect::<Vec<_>>(),
            ["~/.ssh/%h-key", "~/.ssh/id_ed25519"]
        );
        assert_eq!(values.first("ciphers"), None);
        assert_eq!(values.first("serveraliveinterval"), None);
    }

    #[test]
    fn what_an_option_says_is_set_also_where_it_is_the_default() {
        let values = changed(
            &[],
            &["ServerAliveInterval=0", "UserKnownHostsFile=\"/a b\" /c"],
        );
        assert_eq!(values.first("serveraliveinterval"), Some("0"));
        assert_eq!(values.first("userknownhostsfile"), Some("\"/a b\" /c"));
    }

    #[test]
    fn changes_to_the_default_list_stay_changes() {
        let gcm = "aes128-gcm@openssh.com,aes256-gcm@openssh.com\n";
        let more = "aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes128-cbc\n";
        assert_eq!(
            changed(&[(gcm, more)], &[]).first("ciphers"),
            Some("+aes128-cbc")
        );
        let chacha = "ciphers chacha20-poly1305@openssh.com,";
        let without = changed(&[(chacha, "ciphers ")], &[]);
        assert_eq!(
            without.first("ciphers"),
            Some("-chacha20-poly1305@openssh.com")
        );
        let first = changed(
            &[(chacha, "ciphers 3des-cbc,chacha20-poly1305@openssh.com,")],
            &[],
        );
        assert_eq!(first.first("ciphers"), Some("^3des-cbc"));
        let macs = "umac-64-etm@openssh.com,hmac-sha2-256";
        let exact = changed(&[(macs, "hmac-sha2-512,hmac-sha2-256")], &[]);
        assert_eq!(exact.first("macs"), Some("hmac-sha2-512,hmac-sha2-256"));
        let option = changed(&[(gcm, more)], &["Ciphers=+aes128-cbc"]);
        assert_eq!(option.first("ciphers"), Some("+aes128-cbc"));
    }

    #[test]
    fn paths_with_spaces_are_kept_together() {
        assert_eq!(quoted("/a /b"), "/a /b");
        assert_eq!(quoted("/a b/c ~/d"), "\"/a b/c\" ~/d");
        assert_eq!(quoted("known other"), "known other");
    }

    #[test]
    fn everything_goes_to_ssh_but_the_keys() {
        let request = Request {
            host: "h".into(),
            user: Some("u".into()),
            port: Some(3),
            identities: vec!["/k".into()],
            options: vec![GivenOption::parse("BatchMode yes").unwrap().unwrap()],
            jump: Some("a,b".into()),
            file: Some("none".into()),
        };
        let line = arguments(&request).join(" ");
        assert_eq!(line, "-F none -J a,b -p 3 -l u -o BatchMode yes -- h");
    }
}
