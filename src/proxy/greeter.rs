//! A forward to the FTP server that each client names: `USER name@host[:port]`.
//!
//! ferryline greets such a client itself ([`Greeter`] says with which words), and speaks with it until it has
//! named a server that is allowed and can be reached. From there on the session is like any other, and begins
//! with that USER. The state machine withholds the server's own greeting.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;
use ferryline_grammar::{Command, Frame, LineCodec, Verb};
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
    io::{farewell::say_last, line_reader::LineReader},
    policy::allow::{self, is_name},
    servers::home::Reached,
    trace::observe::{Direction, Lines},
};
use crate::{
    control::{
        EndReason, Ending, Greeter, LOWEST_DATA_PORT, Notice, OtherProtocol, Step, Target,
        UserAtHost, refusal,
    },
    ssh::OpenError,
};

/// Speaks with the client until it has its FTP server. `None`: it will never have one.
pub(super) async fn greet(
    stream: TcpStream,
    peer: SocketAddr,
    number: u64,
    context: &Context,
) -> Option<ControlConnections> {
    let began = Instant::now();
    let (read, write) = stream.into_split();
    let mut reception = Reception {
        number,
        peer,
        context,
        client: LineReader::of_client(
            read,
            LineCodec::commands_up_to(context.options.command_limit),
        ),
        write,
        lines: Lines::default(),
    };
    let met = tokio::select! {
        met = reception.meet() => met,
        () = context.stop.cancelled() => Err(LastWord::End(EndReason::ShuttingDown)),
        limit = too_late(context.options.limits.login) => {
            Err(LastWord::End(EndReason::NotLoggedIn(limit)))
        }
    };
    let Reception {
        client,
        mut write,
        mut lines,
        ..
    } = reception;
    let word = match met {
        Ok(met) => {
            return Some(ControlConnections {
                client,
                to_client: write,
                channel: met.reached.channel,
                server: met.reached.server,
                server_addresses: met.reached.addresses,
                began,
                routed: Some(met.named),
            });
        }
        Err(LastWord::None) => return None,
        Err(LastWord::Reply(word)) => word,
        Err(LastWord::End(reason)) => {
            let word = refusal(&reason.to_string());
            context.warnings.notice(number, &Notice::Ended(reason));
            word
        }
    };
    lines.show(context.observer(), number, Direction::ToClient, &word);
    say_last(&mut client.into_source(), &mut write, &word).await;
    None
}

/// The driver of the [`Greeter`]: reads the client, and opens the control connection that it asks for.
struct Reception<'a> {
    number: u64,
    peer: SocketAddr,
    context: &'a Context,
    client: LineReader<OwnedReadHalf>,
    write: OwnedWriteHalf,
    lines: Lines,
}

struct Met {
    reached: Reached,
    named: String,
}

/// The last reply to a client that gets no server.
enum LastWord {
    /// It gets none.
    None,
    /// This one. If it is a 421, the log has its reason.
    Reply(Bytes),
    /// A 421 with this reason.
    End(EndReason),
}

impl From<Option<Bytes>> for LastWord {
    fn from(reply: Option<Bytes>) -> Self {
        reply.map_or(Self::None, Self::Reply)
    }
}

/// Why a client cannot have the server that it has named.
enum Refused {
    /// It is not the name of a server.
    Name(String),
    /// The client cannot have this server.
    Server(String),
    /// No server at all can be reached.
    Every(Bytes),
}

impl Reception<'_> {
    async fn meet(&mut self) -> Result<Met, LastWord> {
        self.say(Greeter::greeting()).await?;
        let mut greeter = Greeter::default();
        loop {
            let frame = match self.client.next().await {
                Ok(frame) => frame,
                Err(ending) => {
                    if ending == Ending::Tls {
                        let notice = Notice::NotFtp(OtherProtocol::Tls);
                        self.context.warnings.notice(self.number, &notice);
                    }
                    return Err(Greeter::last_word(ending).into());
                }
            };
            let mut step = greeter.client(&frame);
            if let Step::Named(host) = &step {
                step = match self.find(host).await {
                    Ok(met) => {
                        // The session shows the line, and records it.
                        self.client.put_back(frame);
                        return Ok(met);
                    }
                    Err(Refused::Name(reason)) => greeter.refuse_name(&reason),
                    Err(Refused::Server(reason)) => greeter.refuse(&reason),
                    Err(Refused::Every(last_word)) => Step::Goodbye {
                        answer: None,
                        last_word: Some(last_word),
                    },
                };
            }
            if matches!(step, Step::Say(_) | Step::Goodbye { .. }) {
                self.heard(&frame);
                self.warn_without_server(&frame);
            }
            match step {
                // `find` deals with a name above.
                Step::Nothing | Step::Named(_) => {}
                Step::Refuse(refusal) => self.write(&refusal).await?,
                Step::Say(answer) => self.say(answer).await?,
                Step::Goodbye { answer, last_word } => {
                    if let Some(answer) = answer {
                        self.say(answer).await?;
                    }
                    return Err(match greeter.gives_up() {
                        true => LastWord::End(EndReason::TooManyNames),
                        false => last_word.into(),
                    });
                }
                Step::OtherProtocol(what) => {
                    let notice = Notice::NotFtp(what);
                    self.context.warnings.notice(self.number, &notice);
                    return Err(LastWord::None);
                }
            }
        }
    }

    /// Tells the operator of a USER that names no FTP server. One that names a server is told of where that is refused.
    fn warn_without_server(&self, frame: &Frame) {
        let Frame::Line(line) = frame else {
            return;
        };
        let command = Command::parse(line.text()).filter(|command| command.verb == Verb::User);
        if command.is_some_and(|command| UserAtHost::parse(command.argument).is_none()) {
            self.context.warnings.no_server_named.warn(format_args!(
                "#{} {} logs in without the name of an FTP server: its user has to be USER@FTPHOST here",
                self.number, self.peer
            ));
        }
    }

    /// Makes the control connection to the FTP server that the client asks for by this name.
    async fn find(&self, name: &[u8]) -> Result<Met, Refused> {
        let spec = &self.context.spec;
        let server = parse_host(name, spec.host_port).map_err(Refused::Name)?;
        // Checked before anything is sent anywhere.
        if !allow::is_allowed(&self.context.options.allow_hosts, &server.host) {
            self.context.warnings.not_allowed.warn(format_args!(
                "#{} {} asked for {server}, which no --allow-host allows",
                self.number, self.peer
            ));
            let text = format!("{} is not an FTP server that is allowed here", server.host);
            return Err(Refused::Server(text));
        }
        if !is_ftp_port(server.port, spec.host_port) {
            self.context.warnings.not_allowed.warn(format_args!(
                "#{} {} asked for {server}, which is no port for FTP",
                self.number, self.peer
            ));
            let text = ports_refused(server.port, spec.host_port);
            return Err(Refused::Server(text));
        }
        tracing::info!("#{} {} → {server}", self.number, self.peer);
        let context = self.context;
        let opened = context.homes.open(&context.ssh, &server, self.peer);
        match opened.await {
            Ok(reached) => Ok(Met {
                reached,
                named: String::from_utf8_lossy(name).into_owned(),
            }),
            Err(error) => {
                self.context.warnings.no_control.warn(format_args!(
                    "#{} no control connection to {server}: {error}",
                    self.number
                ));
                Err(match error {
                    // No other server could be reached either.
                    OpenError::Away(_) | OpenError::Lost => {
                        Refused::Every(refusal(&error.to_string()))
                    }
                    error => Refused::Server(format!("{server}: {error}")),
                })
            }
        }
    }

    async fn say(&mut self, reply: Bytes) -> Result<(), LastWord> {
        self.lines.show(
            self.context.observer(),
            self.number,
            Direction::ToClient,
            &reply,
        );
        self.write(&reply).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), LastWord> {
        let written = self.write.write_all(bytes).await;
        written.map_err(|_| LastWord::None)
    }

    fn heard(&mut self, frame: &Frame) {
        if let Frame::Line(line) = frame {
            self.lines.show(
                self.context.observer(),
                self.number,
                Direction::FromClient,
                line.text(),
            );
        }
    }
}

/// Returns when the time for logging in is over, with how long that was.
async fn too_late(limit: Option<Duration>) -> Duration {
    match limit {
        Some(limit) => {
            tokio::time::sleep(limit).await;
            limit
        }
        None => std::future::pending().await,
    }
}

/// Whether a client may name this port. Below 1024 other protocols have their servers, and some of them
/// (SMTP, POP3) would take the client's commands for their own.
fn is_ftp_port(port: u16, usual: u16) -> bool {
    port >= LOWEST_DATA_PORT || port == FTP || port == usual
}

fn ports_refused(port: u16, usual: u16) -> String {
    let usual = match usual {
        FTP => String::new(),
        usual => format!(", {usual} (the port of -L)"),
    };
    format!(
        "port {port} is not allowed here; allowed are {FTP}{usual} and all from {LOWEST_DATA_PORT} on"
    )
}

const FTP: u16 = 21;

/// Parses `host`, `host:port`, `[IPv6]` or `[IPv6]:port`. Returns the host as it is matched and asked for:
/// names in lower case without the root's dot, addresses in their one canonical form.
///
/// An IPv4 address in another notation that a resolver would read (`127.1`, `0x7f000001`) is not accepted as
/// a name: it would get past the patterns.
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

/// Whether a resolver may take this for an IPv4 address in numbers. Names end in a label that is not a
/// number.
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
