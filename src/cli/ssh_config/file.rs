//! Reading the configuration files where no `ssh` is installed to do it: Host, Include, wildcards
//! and the first value. A keyword that this cannot follow (Match) is an error, and never ignored.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    super::Failure,
    Request,
    tokens::{home, in_ssh_folder},
    values::{Values, split, words},
};
use crate::{
    bounded_file::{CONFIG_LIMIT, read_text},
    ssh::glob,
};

/// The values for a host.
pub(super) fn resolve(request: &Request) -> Result<Values, Failure> {
    let mut values = Values::default();
    for option in &request.options {
        values.add(&option.keyword, option.value.as_str());
    }
    if let Some(jump) = &request.jump {
        values.add("proxyjump", jump.as_str());
    }
    match &request.file {
        Some(file) if file.as_os_str() == "none" => {}
        Some(file) => read(file, &request.host, &mut values, true)?,
        None => {
            if let Some(file) = in_ssh_folder("config") {
                read(&file, &request.host, &mut values, false)?;
            }
            read(
                Path::new("/etc/ssh/ssh_config"),
                &request.host,
                &mut values,
                false,
            )?;
        }
    }
    Ok(with_host_name(values, &request.host))
}

/// Replaces `%h` in `HostName` by the name that was typed.
fn with_host_name(values: Values, host: &str) -> Values {
    let mut all = Values::default();
    for (keyword, value) in values.iter() {
        match keyword {
            "hostname" => all.add(keyword, value.replace("%h", host).replace("%%", "%")),
            _ => all.add(keyword, value),
        }
    }
    all
}

fn read(file: &Path, host: &str, values: &mut Values, must: bool) -> Result<(), Failure> {
    let text = match read_text(file, CONFIG_LIMIT) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !must => return Ok(()),
        Err(error) => {
            let file = file.display();
            return Err(Failure::Usage(format!("cannot read {file}: {error}")));
        }
    };
    Reader { host, values }.text(&text, file, true, 0)
}

struct Reader<'a> {
    host: &'a str,
    values: &'a mut Values,
}

impl Reader<'_> {
    /// Reads the lines of a file; `active`: whether the Host block that includes it applies.
    fn text(&mut self, text: &str, file: &Path, active: bool, depth: usize) -> Result<(), Failure> {
        let mut applies = active;
        for (index, line) in text.lines().enumerate() {
            let at = |reason: &str| {
                let number = index + 1;
                Failure::Usage(format!("{}:{number}: {reason}", file.display()))
            };
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (keyword, value) = split(line).ok_or_else(|| at("a keyword without a value"))?;
            match keyword.to_ascii_lowercase().as_str() {
                "host" => applies = active && self.is_meant(&words(value)),
                "match" if value.eq_ignore_ascii_case("all") => applies = active,
                "match" => {
                    return Err(at(
                        "Match is understood only where ssh is installed: install OpenSSH's client, or \
                         name another file with -F (-F none reads none)",
                    ));
                }
                "include" => {
                    if depth >= DEEPEST {
                        return Err(at("files include each other too deeply"));
                    }
                    for pattern in words(value) {
                        for included in found(&base(&pattern, file)) {
                            let text = read_text(&included, CONFIG_LIMIT).map_err(|error| {
                                at(&format!("cannot read {}: {error}", included.display()))
                            })?;
                            self.text(&text, &included, applies, depth + 1)?;
                        }
                    }
                }
                _ if applies => self.values.add(keyword, value),
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether one of the patterns fits the host, and no negated one does.
    fn is_meant(&self, patterns: &[String]) -> bool {
        let mut meant = false;
        for pattern in patterns {
            match pattern.strip_prefix('!') {
                Some(negated) if glob(negated, self.host) => return false,
                Some(_) => {}
                None => meant |= glob(pattern, self.host),
            }
        }
        meant
    }
}

/// The path of an included file: beside the user's configuration, or the system's.
fn base(pattern: &str, file: &Path) -> PathBuf {
    if let (Some(rest), Some(home)) = (pattern.strip_prefix("~/"), home()) {
        return home.join(rest);
    }
    let system = file.starts_with("/etc/ssh");
    match in_ssh_folder("") {
        _ if Path::new(pattern).is_absolute() => PathBuf::from(pattern),
        _ if system => Path::new("/etc/ssh").join(pattern),
        Some(folder) => folder.join(pattern),
        None => PathBuf::from(pattern),
    }
}

/// The files that match a path with wildcards, in the order of their names.
fn found(pattern: &Path) -> Vec<PathBuf> {
    let mut all = vec![PathBuf::new()];
    for part in pattern.components() {
        let part = part.as_os_str();
        let text = part.to_string_lossy();
        if !text.contains(['*', '?']) {
            for path in &mut all {
                path.push(part);
            }
            continue;
        }
        let mut next = Vec::new();
        for folder in &all {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            let names = entries.map(|entry| entry.file_name());
            let fitting = names.filter(|name| {
                let name = name.to_string_lossy();
                !name.starts_with('.') && glob(&text, &name)
            });
            next.extend(fitting.map(|name| folder.join(name)));
        }
        next.sort();
        all = next;
    }
    all.retain(|path| path.is_file());
    all
}

/// Deepest nesting of Include, as in ssh.
const DEEPEST: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    struct Files(tempfile::TempDir);

    impl Files {
        fn new(files: &[(&str, &str)]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            for (name, text) in files {
                let text = text.replace("@", &folder.path().display().to_string());
                fs::write(folder.path().join(name), text).unwrap();
            }
            Self(folder)
        }

        fn ask(&self, host: &str) -> Result<Values, String> {
            let request = Request {
                host: host.into(),
                file: Some(self.0.path().join("config")),
                ..Request::default()
            };
            resolve(&request).map_err(|failure| match failure {
                Failure::Failed(text) | Failure::Usage(text) => text,
            })
        }
    }

    #[test]
    fn the_first_value_of_the_blocks_that_fit() {
        let files = Files::new(&[(
            "config",
            "# mine\nHost web* !web9\n  HostName %h.example\n  Port=2222\n  IdentityFile ~/a\n\
             Match all\nHost *\n  Port 22\n  User \"anna\"\n  IdentityFile ~/b\n  LocalForward 1 h:1\n",
        )]);
        let values = files.ask("web1").unwrap();
        assert_eq!(values.first("hostname"), Some("web1.example"));
        assert_eq!(values.first("port"), Some("2222"));
        assert_eq!(values.first("user"), Some("anna"));
        assert_eq!(
            values.all("identityfile").collect::<Vec<_>>(),
            ["~/a", "~/b"]
        );
        let values = files.ask("web9").unwrap();
        assert_eq!(
            (values.first("hostname"), values.first("port")),
            (None, Some("22"))
        );
    }

    #[test]
    fn files_include_others() {
        let files = Files::new(&[
            ("config", "Host x\nInclude @/part-*\nHost *\nUser last\n"),
            ("part-2", "User second\nHost y\nPort 2\n"),
            ("part-1", "Port 1\n"),
        ]);
        let values = files.ask("x").unwrap();
        assert_eq!(
            (values.first("port"), values.first("user")),
            (Some("1"), Some("second"))
        );
        let values = files.ask("y").unwrap();
        assert_eq!(
            (values.first("port"), values.first("user")),
            (None, Some("last"))
        );
    }

    #[test]
    fn what_cannot_be_followed_is_an_error_with_its_place() {
        let files = Files::new(&[("config", "Host *\n\nMatch user anna\n")]);
        let error = files.ask("x").unwrap_err();
        assert!(error.contains("config:3: Match"), "{error}");
        assert!(error.contains("-F none"), "{error}");
        let files = Files::new(&[("config", "Include @/config\n")]);
        assert!(files.ask("x").unwrap_err().contains("too deeply"));
        let files = Files::new(&[("other", "")]);
        assert!(files.ask("x").unwrap_err().contains("cannot read"));
    }
}
