//! A client that tries whatever may do harm.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::BytesMut;
use ferryline_grammar::{Frame, LineCodec};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::codec::Decoder;

use super::common::{extended_port, host_port, six_numbers};
use super::lax::LaxClient;
use super::random::Random;

const COMMANDS: &[&str] = &[
    "USER a",
    "PASS b",
    "ACCT c",
    "NOOP",
    "STAT",
    "SYST",
    "FEAT",
    "PWD",
    "CWD x",
    "TYPE I",
    "MODE B",
    "MODE S",
    "MODE Z",
    "PASV",
    "PASV",
    "PASV",
    "EPSV",
    "EPSV",
    "EPSV 1",
    "EPSV 2",
    "EPSV ALL",
    "CPSV",
    "SPSV",
    "LPSV",
    "LPRT 4,4,127,0,0,1,2,200,13",
    "RETR f",
    "RETR f",
    "STOR g",
    "STOU",
    "APPE g",
    "LIST",
    "NLST",
    "MLSD",
    "REST 5",
    "ABOR",
    "REIN",
    "QUIT",
    "AUTH TLS",
    "AUTH SSL",
    "PBSZ 0",
    "PROT P",
    "CCC",
    "ADAT xxxx",
    "HOST h",
    "OPTS UTF8 ON",
    "SITE x",
    "",
    "   ",
    "X",
    // Bounces, odd numbers, and numbers that wrap around.
    "PORT 10,0,0,1,200,13",
    "PORT 127,0,0,1,0,22",
    "PORT 127,0,0,1,256,13",
    "PORT 1,2,3",
    "PORT 0,0,0,0,78,32",
    "EPRT |1|10.0.0.1|51213|",
    "EPRT |2|::1|51213|",
    "EPRT |1|127.0.0.1|0|",
    "EPRT |1|127.0.0.1|70000|",
    "EPRT",
    "PORT 4294967423,0,0,1,200,13",
    // No address at all, one in a disguise, and verbs that are little known.
    "PORT",
    "EPRT  ",
    "PASV x",
    "SPOR 10,0,0,1,200,13",
    "SPAS",
    "GET path=a;port=10,0,0,1,200,13;",
    "MPRT 10,0,0,1,200,13",
    "\u{feff}PORT 10,0,0,1,200,13",
    "\u{feff}PASV",
    "ESTO A 0 x",
    "ERET P 0 1 x",
    "THMB x",
    // More than one line in a line, and other protocols.
    "NOOP\rPORT 10,0,0,1,200,13",
    "CWD x\r\0PASV",
    "XPORT 10,0,0,1,200,13",
    "\x01PORT 10,0,0,1,200,13",
    "NOOP\rXPASV",
    "CWD 550 x\n227 (10,0,0,9,1,1)",
    "GET / HTTP/1.1",
    "POST / HTTP/1.1\r\nHost: x\r\n\r\nPORT 127,0,0,1,200,13",
];

const OTHERS: &[&[u8]] = &[
    b"\xff\xf4\xff\xf2ABOR\r\n",
    b"\xff\xfd\x01\xff\xfb\x03\xff\xfa\x18\x01\xff\xf0NOOP\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
    b"NO\0OP\r\n",
    b"PO\xffZRT 10,0,0,1,200,13\r\n",
    b"NOOP\n",
    b"NOOP\r",
    b"NOOP\n\r",
    b"NOOP\r\n\0",
    b"NOOP\0\r\n",
    b"\r\n \t\r\nNOOP\r\n",
    b"CWD \xff\xfa\r\n",
    b"STOR \xff\r\n",
    b"\xf4\xffabor\r\n",
    b"\xf2STAT\r\n",
    b"NOOP\rPO\xff\xfaX\xff\xf0RT 10,0,0,1,200,13\r\n",
    b"PASV\r\nRETR f\r\nRETR f\r\nABOR\r\n",
    b"PASV\r\nSTOR g\r\nABOR\r\n",
    b"PASV\r\nSTOR g\r\nQUIT\r\n",
];

/// The results of a session that matter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Number of uploads that the server has called stored.
    pub stored: usize,
}

/// Runs one session, from connecting to one of `ways` to whatever end comes first. No peer may be sent to
/// `trap`. As another user (`bold`) it tries ports again that may belong to another client by now.
pub async fn run(random: &mut Random, ways: [SocketAddr; 3], trap: SocketAddr, bold: bool) -> Seen {
    let address = *random.pick(&ways);
    let mut seen = Seen::default();
    let connect = timeout(Duration::from_secs(5), TcpStream::connect(address)).await;
    if let Ok(Ok(control)) = connect {
        let _ = session(random, control, address, trap, bold, &mut seen).await;
    }
    seen
}

async fn session(
    random: &mut Random,
    control: TcpStream,
    address: SocketAddr,
    trap: SocketAddr,
    bold: bool,
    seen: &mut Seen,
) -> Option<()> {
    let mut control = Control::new(control, trap);
    // Whether an upload comes first, which the server knows how to take.
    let uploads_first = random.once_in(3);
    if !uploads_first && !random.once_in(4) {
        control.send(b"USER demo\r\nPASS secret\r\n").await?;
    }
    let mut listeners = Vec::new();
    let mut replies = Replies::default();
    // Number of bytes sent of each upload that was ended in order; `None` where it was not.
    let mut uploads: HashMap<String, Option<usize>> = HashMap::new();
    let mut upload = None;
    for step in 0..random.below(40) {
        let mut segment = Vec::new();
        let first_upload = step == 0 && uploads_first;
        for _ in 0..=random.below(4) {
            if first_upload {
                break;
            }
            segment.extend(command(random, trap, &mut listeners).await);
        }
        if !first_upload && random.once_in(30) {
            // As many lines as a client can have under way, and more.
            segment = segment.repeat(100);
        } else if first_upload || random.once_in(3) {
            let name = format!("u{:012x}.", random.next() & 0xffff_ffff_ffff);
            let tail = ["", "ABOR\r\n", "QUIT\r\n"];
            segment.extend(format!("PASV\r\nSTOR {name}\r\n{}", random.pick(&tail)).bytes());
            uploads.insert(name.clone(), None);
            upload = Some(name);
        }
        control.send(&segment).await?;
        let heard = control.hear(random).await?;
        for line in replies.of(&heard) {
            let line = line.as_str();
            if let Some(stored) = line.strip_prefix("226 stored ") {
                let (name, count) = stored.split_once(' ').unwrap();
                let sent = uploads.get(name).copied().flatten();
                assert_eq!(sent, count.parse().ok(), "a cut upload is stored: {line}");
                seen.stored += 1;
            }
            let data = match line.get(..3) {
                Some("227") => host_port(line),
                Some("229") => extended_port(line).map(|port| SocketAddr::new(address.ip(), port)),
                _ => None,
            };
            assert_ne!(data.map(|data| data.ip()), Some(trap.ip()), "{line}");
            if let (Some(data), Some(name)) = (data, upload.take_if(|_| data.is_some())) {
                let sent = send_upload(random, data, &name).await;
                uploads.insert(name, sent);
            } else if let Some(data) = data.filter(|_| !random.once_in(3)) {
                let times = if bold { 1 + random.below(3) } else { 1 };
                for _ in 0..times {
                    if let Ok(Ok(stream)) =
                        timeout(Duration::from_secs(1), TcpStream::connect(data)).await
                    {
                        use_data(random, stream).await;
                    }
                }
            }
        }
        listeners.truncate(3);
        for listener in &listeners {
            if let Ok(Ok((stream, _))) = timeout(Duration::from_millis(2), listener.accept()).await
            {
                use_data(random, stream).await;
            }
        }
        if random.once_in(20) {
            let _ = control.stream.shutdown().await;
        }
    }
    drop(listeners);
    match random.below(3) {
        0 => drop(control.stream.set_zero_linger()),
        1 => control.send(b"QUIT\r\n").await?,
        _ => {}
    }
    Some(())
}

/// Whether the kernel keeps back what was written: ferryline reads no more (64 requests are unanswered), and its
/// receive window is full. A close would be kept back behind that, until the kernel gives up after some 200 s of
/// probes (RFC 9293 §3.8.6.1, with Linux's back-off). No test can wait for that, so such a client breaks off.
fn has_unsent(stream: &TcpStream) -> bool {
    let (Ok(local), Ok(peer)) = (stream.local_addr(), stream.peer_addr()) else {
        return false;
    };
    // Fields: number, local address, peer's address, state, bytes to send:bytes to read (in hexadecimal).
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let port = |address: &str| {
        let (_, port) = address.rsplit_once(':')?;
        u16::from_str_radix(port, 16).ok()
    };
    table.lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, from, to, _, queues, ..] = fields[..] else {
            return false;
        };
        let unsent = queues
            .split(':')
            .next()
            .is_some_and(|count| count != "00000000");
        unsent && port(from) == Some(local.port()) && port(to) == Some(peer.port())
    })
}

/// The control connection, and lax clients that read along.
struct Control {
    stream: TcpStream,
    /// Six numbers that the hostile server names and that must not lead a client anywhere.
    away: [String; 3],
    lax: Vec<LaxClient>,
    /// All that passed, to be shown where something is wrong with it.
    passed: Vec<(&'static str, Vec<u8>)>,
    sent: (LineCodec, BytesMut),
    heard: (LineCodec, BytesMut),
}

impl Control {
    fn new(stream: TcpStream, trap: SocketAddr) -> Self {
        Self {
            stream,
            away: ["10,0,0,9,".into(), "169,254,".into(), six_numbers(trap)],
            lax: (0..4)
                .flat_map(|telnet| LaxClient::kinds(false, telnet))
                .collect(),
            passed: Vec::new(),
            sent: (LineCodec::commands(), BytesMut::new()),
            heard: (LineCodec::replies(), BytesMut::new()),
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> Option<()> {
        self.passed.push(("sent", bytes.to_vec()));
        let (codec, buffer) = &mut self.sent;
        buffer.extend_from_slice(bytes);
        // Bytes that are not a line end the session.
        while let Ok(Some(frame)) = codec.decode(buffer) {
            if let Frame::Line(line) = frame {
                self.lax
                    .iter_mut()
                    .for_each(|client| client.sends(line.text()));
            }
        }
        let sent = timeout(Duration::from_millis(300), self.stream.write_all(bytes)).await;
        sent.ok()?.ok()
    }

    /// Reads what comes within a few milliseconds; `None` at the end.
    async fn hear(&mut self, random: &mut Random) -> Option<String> {
        let mut heard = Vec::new();
        if random.once_in(5) {
            return Some(String::new());
        }
        let patience = Duration::from_millis(1 + random.below(15) as u64);
        while heard.len() < 100_000 {
            match timeout(patience, self.read()).await {
                Ok(read) => heard.extend(read?),
                Err(_) => break,
            }
        }
        Some(String::from_utf8_lossy(&heard).into_owned())
    }

    /// Reads what comes next; `None` at the end.
    async fn read(&mut self) -> Option<Vec<u8>> {
        let mut some = vec![0; 4096];
        let count = self.stream.read(&mut some).await.ok()?;
        some.truncate(count);
        self.passed.push(("heard", some.clone()));
        let (codec, buffer) = &mut self.heard;
        buffer.extend_from_slice(&some);
        while let Ok(Some(frame)) = codec.decode(buffer) {
            let Frame::Line(line) = frame else {
                continue;
            };
            let is_servers = |line: &[u8]| {
                let line = String::from_utf8_lossy(line);
                self.away.iter().any(|away| line.contains(away))
            };
            for client in &mut self.lax {
                client.reads(line.text(), is_servers);
            }
        }
        (count > 0).then_some(some)
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        if has_unsent(&self.stream) {
            let _ = self.stream.set_zero_linger();
        }
        if std::thread::panicking() {
            for (way, bytes) in &self.passed {
                eprintln!("{way} {}", bytes.escape_ascii());
            }
        }
    }
}

/// Sends an upload that repeats its name. Returns how much of it was sent, if it was ended in order.
async fn send_upload(random: &mut Random, data: SocketAddr, name: &str) -> Option<usize> {
    let connect = timeout(Duration::from_secs(1), TcpStream::connect(data)).await;
    let mut stream = connect.ok()?.ok()?;
    let bytes = name.repeat(1 + random.below(2000)).into_bytes();
    let whole = !random.once_in(2);
    let write = timeout(Duration::from_secs(1), stream.write_all(&bytes)).await;
    if !matches!(write, Ok(Ok(()))) || !whole {
        if random.once_in(2) {
            tokio::time::sleep(Duration::from_millis(random.below(20) as u64)).await;
        }
        let _ = stream.set_zero_linger();
        return None;
    }
    stream.shutdown().await.ok()?;
    let mut end = [0; 1];
    let _ = timeout(Duration::from_millis(50), stream.read(&mut end)).await;
    Some(bytes.len())
}

async fn command(
    random: &mut Random,
    trap: SocketAddr,
    listeners: &mut Vec<TcpListener>,
) -> Vec<u8> {
    match random.below(20) {
        0 => random.pick(OTHERS).to_vec(),
        1 => [random.bytes(60), b"\r\n".to_vec()].concat(),
        2 if random.once_in(4) => {
            let unit = *random.pick(&[&b"A"[..], b" ", b"\t", b" \r", b"LPRT 1,", b"USER :"]);
            let count = (7000 + random.below(3000)) / unit.len();
            [b"CWD x", unit.repeat(count).as_slice(), b"\r\n"].concat()
        }
        3 => format!("PORT {}\r\n", six_numbers(trap)).into_bytes(),
        4 => format!("EPRT |1|{}|{}|\r\n", trap.ip(), trap.port()).into_bytes(),
        5..=7 => match TcpListener::bind(("127.0.0.1", own_port(random))).await {
            Ok(listener) => {
                let line = listener
                    .local_addr()
                    .map(|address| format!("PORT {}\r\n", six_numbers(address)));
                listeners.insert(0, listener);
                line.unwrap_or_default().into_bytes()
            }
            Err(_) => Vec::new(),
        },
        _ => format!("{}\r\n", random.pick(COMMANDS)).into_bytes(),
    }
}

/// A port that the kernel does not give to a program that wants any port.
fn own_port(random: &mut Random) -> u16 {
    u16::try_from(20_000 + random.below(10_000)).unwrap()
}

/// Sends half a file, a whole one or none, ends in order or by a reset, or does nothing at all for a while.
async fn use_data(random: &mut Random, mut stream: TcpStream) {
    let bytes = random.bytes(3000);
    match random.below(5) {
        0 => drop(stream.set_zero_linger()),
        1 => {
            let _ = stream.write_all(&bytes).await;
        }
        2 => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.set_zero_linger();
        }
        3 => {
            let mut some = vec![0; 1 + random.below(5000)];
            let _ = timeout(Duration::from_millis(20), stream.read(&mut some)).await;
        }
        _ => {
            tokio::time::sleep(Duration::from_millis(random.below(30) as u64)).await;
        }
    }
}

/// The first lines of replies, as a client finds them that keeps to RFC 959: in the middle of a reply of
/// several lines anything may stand.
#[derive(Default)]
struct Replies {
    rest: String,
    open: Option<String>,
}

impl Replies {
    fn of(&mut self, heard: &str) -> Vec<String> {
        self.rest.push_str(heard);
        let whole = self.rest.rfind('\n').map_or(0, |at| at + 1);
        let lines: String = self.rest.drain(..whole).collect();
        let mut first = Vec::new();
        for line in lines.lines() {
            check_laxly(line);
            if let Some(code) = &self.open {
                if line == code || line.starts_with(&format!("{code} ")) {
                    self.open = None;
                }
                continue;
            }
            let code = line.get(..3).unwrap_or_default();
            let digits = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit());
            if digits && line.get(3..4) == Some("-") {
                self.open = Some(code.to_owned());
            }
            first.push(line.to_owned());
        }
        first
    }
}

/// Checks that a client is not led away either that looks only at three digits, wherever they are.
fn check_laxly(line: &str) {
    let passive = matches!(line.get(..3), Some("227" | "228" | "229"));
    let named = host_port(line).filter(|_| passive);
    let away = named.is_some_and(|named| named.ip() != IpAddr::from([127, 0, 0, 1]));
    assert!(!away, "{line}");
}
