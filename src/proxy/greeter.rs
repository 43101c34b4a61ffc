//! A forward to the FTP server that each client names: `USER name@host[:port]`.
//!
//! Ferryline greets such a client itself, and speaks with it until it has named a server that is
//! allowed and can be reached. From there on it is a session like any other, which begins with that
//! USER; the server's own greeting is taken off by the state machine.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;
use ferryline_grammar::{Command, Frame, Line, LineCodec, Verb};
use tokio::{
    io::AsyncWriteExt,
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::Instant,
};

use super::{
    context::Context,
    dial_server::ControlConnections,
    io::{
        farewell::{SHUTTING_DOWN, say_last},
        line_reader::LineReader,
    },
    policy::allow::{self, is_name},
    servers::home::Reached,
    trace::observe::{Direction, show},
};
use crate::{
    control::{Ending, LOWEST_DATA_PORT, Target, UserAtHost, answer, other_protocol, refusal},
    ssh::OpenError,
};

/// How many servers a client may name that it cannot have: nobody mistypes more often, and a search for
/// hosts should be slow.
const TRIES: u8 = 10;

/// How many Telnet options are refused, as in the session proper.
const REFUSALS: u8 = u8::MAX;

const HOW: &str = "log in as USER@FTPHOST or USER@FTPHOST:PORT";

/// Speaks with the client until it has its FTP server. `None`: it never will.
pub(super) async fn greet(
    stream: TcpStream,
    peer: SocketAddr,
    number: u64,
    context: &Context,
) -> Option<ControlConnections> {
    let began = Instant::now();
    let (read, write) = stream.into_split();
    let mut greeter = Greeter {
        number,
        peer,
        context,
        client: LineReader::new(
            read,
            LineCodec::commands_up_to(context.options.command_limit),
        ),
        write,
    };
    let met = tokio::select! {
        met = greeter.meet() => met,
        () = context.stop.cancelled() => Err(Goodbye::Say(refusal(SHUTTING_DOWN))),
        seconds = too_late(context.options.limits.login) => {
            let reason = format!("nobody has logged in within {seconds} seconds");
            Err(Goodbye::Say(refusal(&reason)))
        }
    };
    let Greeter {
        client, mut write, ..
    } = greeter;
    match met {
        Ok(met) => Some(ControlConnections {
            client,
            to_client: write,
            channel: met.reached.channel,
            server: met.reached.server,
            server_addresses: met.reached.addresses,
            began,
            routed: Some(met.named),
        }),
        Err(Goodbye::Silent) => None,
        Err(Goodbye::Say(word)) => {
            show(context.observer(), number, Direction::ToClient, &word);
            say_last(&mut client.into_source(), &mut write, &word).await;
            None
        }
    }
}

struct Greeter<'a> {
    number: u64,
    peer: SocketAddr,
    context: &'a Context,
    client: LineReader<OwnedReadHalf>,
    write: OwnedWriteHalf,
}

struct Met {
    reached: Reached,
    named: String,
}

/// How it ends without a server.
enum Goodbye {
    Silent,
    Say(Bytes),
}

/// What becomes of a line.
enum Answer {
    Met(Box<Met>),
    Say(Bytes),
}

impl Greeter<'_> {
    async fn meet(&mut self) -> Result<Met, Goodbye> {
        let greeting = format!("{HOW}; ferryline takes you there through SSH");
        self.say(answer(220, &greeting)).await?;
        let (mut tries, mut refusals, mut first) = (TRIES, REFUSALS, true);
        loop {
            let frame = match self.client.next().await {
                Ok(frame) => frame,
                Err(ending) => return Err(goodbye(ending)),
            };
            let line = match frame {
                Frame::Line(line) => line,
                Frame::Negotiation(asked) => {
                    if let Some(left) = refusals.checked_sub(1) {
                        refusals = left;
                        self.write(&asked.refusal()).await?;
                    }
                    continue;
                }
            };
            let Some(command) = Command::parse(line.text()) else {
                continue;
            };
            if std::mem::take(&mut first)
                && let Some(what) = other_protocol(line.text())
            {
                let notice = crate::control::Notice::NotFtp(what);
                self.context.warnings.notice(self.number, &notice);
                return Err(Goodbye::Silent);
            }
            let reply = if command.verb == Verb::User {
                match self.user(command.argument).await? {
                    Answer::Met(met) => {
                        // The session shows it, and records it.
                        self.client.put_back(Frame::Line(line));
                        return Ok(*met);
                    }
                    Answer::Say(reply) => {
                        tries -= 1;
                        if tries == 0 {
                            self.heard(&line);
                            self.say(reply).await?;
                            return Err(Goodbye::Say(refusal(
                                "too many FTP servers were named in vain",
                            )));
                        }
                        reply
                    }
                }
            } else {
                before_login(&command)?
            };
            self.heard(&line);
            self.say(reply).await?;
        }
    }

    /// The FTP server that this user name asks for; or why not.
    async fn user(&self, argument: &[u8]) -> Result<Answer, Goodbye> {
        let Some(named) = UserAtHost::parse(argument) else {
            let text = format!("this port leads to many FTP servers: {HOW}");
            return Ok(Answer::Say(answer(530, &text)));
        };
        let spec = &self.context.spec;
        let server = match parse_host(named.host, spec.host_port) {
            Ok(server) => server,
            Err(reason) => return Ok(Answer::Say(answer(530, &format!("{reason}; {HOW}")))),
        };
        // Before anything is sent anywhere.
        if !allow::is_allowed(&self.context.options.allow_hosts, &server.host) {
            self.context.warnings.not_allowed.warn(format_args!(
                "#{} {} asked for {server}, which no --allow-host allows",
                self.number, self.peer
            ));
            let text = format!("{} is not an FTP server that is allowed here", server.host);
            return Ok(Answer::Say(answer(530, &text)));
        }
        if !is_ftp_port(server.port, spec.host_port) {
            self.context.warnings.not_allowed.warn(format_args!(
                "#{} {} asked for {server}, which is no port for FTP",
                self.number, self.peer
            ));
            let text = ports_refused(server.port, spec.host_port);
            return Ok(Answer::Say(answer(530, &text)));
        }
        tracing::info!("#{} {} → {server}", self.number, self.peer);
        let context = self.context;
        let opened = context.homes.open(&context.ssh, &server, self.peer);
        match opened.await {
            Ok(reached) => Ok(Answer::Met(Box::new(Met {
                reached,
                named: String::from_utf8_lossy(named.host).into_owned(),
            }))),
            Err(error) => {
                self.context.warnings.no_control.warn(format_args!(
                    "#{} no control connection to {server}: {error}",
                    self.number
                ));
                match error {
                    // No other server could be reached either.
                    OpenError::Away(_) | OpenError::Lost => {
                        Err(Goodbye::Say(refusal(&error.to_string())))
                    }
                    error => Ok(Answer::Say(answer(530, &format!("{server}: {error}")))),
                }
            }
        }
    }

    async fn say(&mut self, reply: Bytes) -> Result<(), Goodbye> {
        show(
            self.context.observer(),
            self.number,
            Direction::ToClient,
            &reply,
        );
        self.write(&reply).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Goodbye> {
        let written = self.write.write_all(bytes).await;
        written.map_err(|_| Goodbye::Silent)
    }

    fn heard(&self, line: &Line) {
        show(
            self.context.observer(),
            self.number,
            Direction::FromClient,
            line.text(),
        );
    }
}

/// Comes back when the time for logging in is over, with how long that was.
async fn too_late(limit: Option<Duration>) -> u64 {
    match limit {
        Some(limit) => {
            tokio::time::sleep(limit).await;
            limit.as_secs()
        }
        None => std::future::pending().await,
    }
}

/// What is said to a command that comes before the FTP server is known.
fn before_login(command: &Command<'_>) -> Result<Bytes, Goodbye> {
    Ok(match command.verb {
        Verb::Quit => return Err(Goodbye::Say(answer(221, "goodbye"))),
        Verb::Noop => answer(200, "nothing done"),
        Verb::Adat
        | Verb::Auth
        | Verb::Ccc
        | Verb::Conf
        | Verb::Enc
        | Verb::Mic
        | Verb::Pbsz
        | Verb::Prot => answer(
            502,
            &format!(
                "{} is refused: this port speaks plain FTP, and SSH protects the rest of the way",
                command.verb.name()
            ),
        ),
        // FEAT, SYST, OPTS and all others are the FTP server's to answer. To 530 clients know to ask
        // again after the log-in (RFC 2389 §3.2 leaves it to the server when to answer).
        _ => answer(530, "log in as user@host first"),
    })
}

fn goodbye(ending: Ending) -> Goodbye {
    match ending {
        Ending::Eof | Ending::Flood | Ending::Lost | Ending::Silent => Goodbye::Silent,
        Ending::LineTooLong(limit) => {
            let text = format!("a command line longer than {limit} bytes; the session ends");
            Goodbye::Say(answer(500, &text))
        }
        Ending::Nul => Goodbye::Say(answer(500, "a NUL in a command line; the session ends")),
    }
}

/// Whether a client may name this port. Below 1024 other protocols have their servers, and some of them
/// (SMTP, POP3) would take what the client says for theirs.
fn is_ftp_port(port: u16, usual: u16) -> bool {
    port >= LOWEST_DATA_PORT || port == FTP || port == usual
}

fn ports_refused(port: u16, usual: u16) -> String {
    let which = if usual == FTP || usual >= LOWEST_DATA_PORT {
        format!("only {FTP} is")
    } else {
        format!("only {FTP} and {usual} are")
    };
    format!("port {port} is not allowed here: of those below {LOWEST_DATA_PORT} {which}")
}

const FTP: u16 = 21;

/// `host`, `host:port`, `[IPv6]` or `[IPv6]:port`. The host comes out as it is matched and asked for:
/// names in lower case without the root's dot, addresses in their one canonical form.
///
/// What a resolver would read as an IPv4 address in another notation (`127.1`, `0x7f000001`) is no name:
/// it would get past the patterns.
fn parse_host(text: &[u8], default_port: u16) -> Result<Target, String> {
    let text = std::str::from_utf8(text)
        .ok()
        .filter(|text| text.is_ascii())
        .ok_or("a host name is plain ASCII")?;
    let no_host = || format!("'{text}' is no host");
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (inner, rest) = rest.split_once(']').ok_or_else(no_host)?;
            let address: Ipv6Addr = inner.parse().map_err(|_| no_host())?;
            let port = match rest.strip_prefix(':') {
                None if rest.is_empty() => None,
                None => return Err(no_host()),
                port => port,
            };
            (IpAddr::V6(address).to_canonical().to_string(), port)
        }
        None => {
            let (name, port) = match text.split_once(':') {
                Some((_, port)) if port.contains(':') => {
                    return Err("an IPv6 address stands in brackets".into());
                }
                Some((name, port)) => (name, Some(port)),
                None => (text, None),
            };
            let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
            let labels_stand = name.split('.').all(|label| !label.is_empty());
            if !labels_stand || name.len() > 253 || !name.bytes().all(is_name) {
                return Err(no_host());
            }
            match name.parse::<Ipv4Addr>() {
                Ok(address) => (address.to_string(), port),
                Err(_) if ends_in_a_number(&name) => return Err(no_host()),
                Err(_) => (name, port),
            }
        }
    };
    let port = match port {
        None => default_port,
        Some(digits) => digits
            .parse()
            .ok()
            .filter(|port| *port != 0 && digits.bytes().all(|byte| byte.is_ascii_digit()))
            .ok_or_else(|| format!("'{digits}' is no port"))?,
    };
    Ok(Target { host, port })
}

/// Whether a resolver may take this for an IPv4 address in numbers; names end in a label that is none.
fn ends_in_a_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let hex = last
        .strip_prefix("0x")
        .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    hex || last.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_in_every_form() {
        for (text, host, port) in [
            ("ftp.example", "ftp.example", 21),
            ("FTP.Example.", "ftp.example", 21),
            ("ftp.example:2100", "ftp.example", 2100),
            ("10.0.0.9:2100", "10.0.0.9", 2100),
            ("[2001:DB8::1]", "2001:db8::1", 21),
            ("[::1]:2100", "::1", 2100),
            ("[::ffff:127.0.0.1]:21", "127.0.0.1", 21),
            ("a_b-c", "a_b-c", 21),
            ("4you.example", "4you.example", 21),
        ] {
            let expected = Target {
                host: host.into(),
                port,
            };
            assert_eq!(parse_host(text.as_bytes(), 21), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "",
            ".",
            "a..b",
            ".a",
            "a b",
            "a/b",
            "*",
            "2001:db8::1",
            "[ftp.example]",
            "[::1",
            "[::1]x",
            "[::1]:",
            "host:",
            "host:0",
            "host:70000",
            "host:+21",
            "host:21:22",
            "b\u{fc}ro",
            "a\\b",
            "h\u{1}",
            // Other notations for 127.0.0.1.
            "127.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "127.0.0.01",
            "0",
            "0x",
            "127.0.0.0x1",
            "[::1%lo]",
        ] {
            assert!(parse_host(text.as_bytes(), 21).is_err(), "{text}");
        }
        assert!(parse_host(b"h\xff", 21).is_err());
        assert!(parse_host("a.".repeat(200).as_bytes(), 21).is_err());
    }
}
