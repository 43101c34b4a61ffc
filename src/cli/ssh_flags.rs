//! Options of ssh that ferryline does not have, as fingers and scripts type them. What is harmless is accepted,
//! what can be honoured is, and each of the others is an error that says what to do instead.

use clap::{
    Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches, builder::TypedValueParser,
    error::ErrorKind,
};

/// The options of this kind that were given.
#[derive(Clone, Debug, Default)]
pub(super) struct SshFlags {
    /// Those that are honoured, as `-o` spells them.
    pub(super) options: Vec<String>,
}

/// What happens with an option.
#[derive(Clone, Copy)]
enum Treatment {
    /// It concerns what ferryline does not do anyway.
    Ignored,
    /// It is short for this `-o`.
    Option(&'static str),
    /// It has a value, which is put behind this `Keyword=`.
    OptionWithValue(&'static str),
    /// It has a value, which concerns what ferryline does not do anyway.
    ValueIgnored,
    /// It is an error; the text says what to do instead.
    Refused(&'static str),
    /// The same for one that has a value.
    ValueRefused(&'static str),
}

use Treatment::{Ignored, Option as Short, OptionWithValue, Refused, ValueIgnored, ValueRefused};

/// ssh's options that are no options of ferryline's own.
const TABLE: [(&str, Treatment); 35] = [
    (
        "--port",
        ValueRefused(
            "the port of the SSH server is -p PORT; those of the forward stand in -L PORT:HOST:HOSTPORT",
        ),
    ),
    (
        "--user",
        ValueRefused("the user of the SSH server is -l USER, or USER@HOST"),
    ),
    ("-4", Short("AddressFamily=inet")),
    ("-6", Short("AddressFamily=inet6")),
    (
        "-A",
        Refused("ferryline opens no session that could use the agent: leave it out"),
    ),
    (
        "-B",
        ValueRefused("bind to an address instead: -o BindAddress=ADDRESS"),
    ),
    ("-C", Short("Compression=yes")),
    (
        "-D",
        ValueRefused(
            "ferryline is no SOCKS proxy: name each FTP server with -L, or use 'ssh -D' beside it",
        ),
    ),
    (
        "-G",
        Refused("'ssh -G' shows the settings, and ferryline uses the same"),
    ),
    (
        "-I",
        ValueRefused("keys on a token are used through the agent: ssh-add -s LIBRARY"),
    ),
    (
        "-K",
        Refused("GSSAPI is not supported: log in with a key (-i) or the agent"),
    ),
    (
        "-M",
        Refused(
            "ferryline shares no connection with ssh, and needs no autossh ('-M 0'): it connects again by \
                   itself; leave it out",
        ),
    ),
    ("-N", Ignored),
    (
        "-O",
        ValueRefused("ferryline has no control socket: stop it with Ctrl-C or SIGTERM"),
    ),
    (
        "-P",
        ValueRefused(
            "the port of the SSH server is -p PORT, with a small p; for what a tag selects in the ssh \
             configuration (-P TAG of newer ssh) name an alias of the host, or -F FILE",
        ),
    ),
    (
        "-Q",
        ValueRefused("'-o Ciphers=?' and the like name the known algorithms"),
    ),
    (
        "-R",
        ValueRefused(
            "ferryline forwards local ports only (-L), and makes what FTP needs by itself; for others use \
                        'ssh -R' beside it",
        ),
    ),
    (
        "-S",
        ValueRefused("ferryline shares no connection with ssh: leave it out"),
    ),
    ("-T", Ignored),
    (
        "-W",
        ValueRefused("ferryline forwards ports (-L); 'ssh -W' connects standard input and output"),
    ),
    (
        "-X",
        Refused("ferryline opens no session that could show windows: leave it out"),
    ),
    (
        "-Y",
        Refused("ferryline opens no session that could show windows: leave it out"),
    ),
    ("-a", Ignored),
    ("-b", OptionWithValue("BindAddress=")),
    ("-c", OptionWithValue("Ciphers=")),
    ("-e", ValueIgnored),
    (
        "-f",
        Refused(
            "ferryline stays in the foreground: start it from a systemd unit, or with 'nohup ferryline forward \
                   … &'",
        ),
    ),
    ("-k", Ignored),
    ("-m", OptionWithValue("MACs=")),
    ("-n", Ignored),
    ("-s", Refused("ferryline opens no session: use 'ssh -s'")),
    (
        "-t",
        Refused("ferryline opens no session that could have a terminal: leave it out"),
    ),
    (
        "-w",
        ValueRefused("ferryline makes no tunnel device: use 'ssh -w'"),
    ),
    ("-x", Ignored),
    (
        "-y",
        Refused(
            "the log goes to standard error, or to a file (-E FILE): '2>&1 | logger' sends it to syslog",
        ),
    ),
];

impl Args for SshFlags {
    fn augment_args(command: Command) -> Command {
        TABLE.iter().fold(command, |command, (option, treatment)| {
            command.arg(argument(option, *treatment))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn argument(option: &'static str, treatment: Treatment) -> Arg {
    let arg = match option.strip_prefix("--") {
        Some(long) => Arg::new(option).long(long),
        None => Arg::new(option).short(option.chars().last()),
    };
    let arg = arg.hide(true);
    match treatment {
        Ignored | Short(_) => arg.action(ArgAction::Count),
        OptionWithValue(_) | ValueIgnored => arg.action(ArgAction::Append),
        Refused(instead) => {
            // `-M 0` comes from a line of autossh's.
            let values = if option == "-M" { 0..=1 } else { 0..=0 };
            arg.action(ArgAction::Append)
                .num_args(values)
                .default_missing_value("")
                .value_parser(Refusal { option, instead })
        }
        ValueRefused(instead) => arg
            .action(ArgAction::Append)
            .value_parser(Refusal { option, instead }),
    }
}

impl FromArgMatches for SshFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        // Of one that is repeated, and of -4 and -6, the last counts, as in ssh (`ssh -G` shows it). In the
        // settings the first of a keyword counts.
        let mut given: Vec<(usize, String)> = Vec::new();
        for (option, treatment) in TABLE {
            let Some(place) = matches.indices_of(option).and_then(Iterator::last) else {
                continue;
            };
            match treatment {
                Short(long) if matches.get_count(option) > 0 => {
                    given.push((place, long.to_owned()))
                }
                OptionWithValue(keyword) => {
                    let values = matches.get_many::<String>(option);
                    let last = values.into_iter().flatten().last();
                    given.extend(last.map(|value| (place, format!("{keyword}{value}"))));
                }
                _ => {}
            }
        }
        given.sort_by_key(|(place, _)| std::cmp::Reverse(*place));
        self.options = given.into_iter().map(|(_, option)| option).collect();
        Ok(())
    }
}

/// Refuses an option when it is read, before anything that is missing is complained about.
#[derive(Clone)]
struct Refusal {
    option: &'static str,
    instead: &'static str,
}

impl TypedValueParser for Refusal {
    type Value = String;

    fn parse_ref(
        &self,
        command: &Command,
        _: Option<&Arg>,
        _: &std::ffi::OsStr,
    ) -> Result<String, Error> {
        let of_ssh = match self.option.starts_with("--") || self.option == "-P" {
            true => "is not an option of ferryline",
            false => "of ssh is not supported",
        };
        let text = format!("{} {of_ssh}: {}\n", self.option, self.instead);
        Err(Error::raw(ErrorKind::InvalidValue, text).with_cmd(command))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Words {
        #[command(flatten)]
        flags: SshFlags,
        destination: String,
    }

    fn given(line: &str) -> Result<Words, String> {
        let words = ["ssh"].into_iter().chain(line.split(' '));
        Words::try_parse_from(words).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_harmless_is_accepted_alone_and_together() {
        for line in [
            "-N h",
            "-T -n h",
            "-NTnaxk h",
            "-N -N h",
            "h -N",
            "-e none h",
        ] {
            let words = given(line).unwrap();
            assert_eq!(words.destination, "h", "{line}");
            assert!(words.flags.options.is_empty(), "{line}");
        }
    }

    #[test]
    fn what_can_be_honoured_is_an_option() {
        for (line, options) in [
            ("-4 h", &["AddressFamily=inet"][..]),
            ("-N6C h", &["Compression=yes", "AddressFamily=inet6"]),
            (
                "-b 192.0.2.1 -c a,b h",
                &["Ciphers=a,b", "BindAddress=192.0.2.1"],
            ),
            // As `ssh -G` of OpenSSH 9.2 tells: the last counts.
            ("-c a -c b -m x -m y h", &["MACs=y", "Ciphers=b"]),
            ("-b 192.0.2.1 -b 192.0.2.2 h", &["BindAddress=192.0.2.2"]),
            ("-4 -6 h", &["AddressFamily=inet6", "AddressFamily=inet"]),
            ("-6 -4 h", &["AddressFamily=inet", "AddressFamily=inet6"]),
            ("-4 -6 -4 h", &["AddressFamily=inet", "AddressFamily=inet6"]),
        ] {
            assert_eq!(given(line).unwrap().flags.options, options, "{line}");
        }
    }

    #[test]
    fn each_of_the_others_says_what_to_do_instead() {
        for (line, says) in [
            ("-f h", "systemd"),
            ("-Nf h", "nohup"),
            ("-M 0 -N h", "autossh"),
            ("-M", "autossh"),
            ("-R 1:h:1 h", "local ports only"),
            ("-D 1080 h", "SOCKS"),
            ("-A h", "-A of ssh is not supported: "),
            ("-t h", "terminal"),
            ("-W a:1 h", "ssh -W"),
            ("-P 23 h", "-p PORT"),
            ("--port 23 h", "-p PORT"),
            ("--port=23 h", "-L PORT:HOST:HOSTPORT"),
            ("--user me h", "-l USER"),
            // Before the destination is missed.
            ("-f", "systemd"),
        ] {
            let error = given(line).unwrap_err();
            assert!(error.starts_with("error: -"), "{line}: {error}");
            assert!(error.contains(says), "{line}: {error}");
        }
    }
}
