//! A client that does whatever may do harm.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::common::{extended_port, host_port, six_numbers};
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
];

/// One session, from connecting to whatever end comes first. `trap` is where nobody may be sent. As
/// another user (`bold`) it tries ports again that may be somebody else's by now.
pub async fn run(random: &mut Random, address: SocketAddr, trap: SocketAddr, bold: bool) {
    let Ok(Ok(mut control)) = timeout(Duration::from_secs(5), TcpStream::connect(address)).await
    else {
        return;
    };
    if !random.once_in(4)
        && send(&mut control, b"USER demo\r\nPASS secret\r\n")
            .await
            .is_none()
    {
        return;
    }
    let mut listeners = Vec::new();
    let mut replies = Replies::default();
    for _ in 0..random.below(40) {
        let mut segment = Vec::new();
        for _ in 0..=random.below(4) {
            segment.extend(command(random, trap, &mut listeners).await);
        }
        if random.once_in(30) {
            // As many as a client can have under way, and more.
            segment = segment.repeat(100);
        }
        if send(&mut control, &segment).await.is_none() {
            return;
        }
        let Some(heard) = hear(random, &mut control).await else {
            return;
        };
        for line in replies.of(&heard) {
            let line = line.as_str();
            let data = match line.get(..3) {
                Some("227") => host_port(line),
                Some("229") => extended_port(line).map(|port| SocketAddr::new(address.ip(), port)),
                _ => None,
            };
            assert_ne!(data.map(|data| data.ip()), Some(trap.ip()), "{line}");
            if let Some(data) = data.filter(|_| !random.once_in(3)) {
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
            let _ = control.shutdown().await;
        }
    }
    match random.below(3) {
        0 => drop(control.set_zero_linger()),
        1 => {
            let _ = send(&mut control, b"QUIT\r\n").await;
        }
        _ => {}
    }
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
            [vec![b'A'; 7000 + random.below(3000)], b"\r\n".to_vec()].concat()
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

/// None that the kernel gives to somebody who wants any.
fn own_port(random: &mut Random) -> u16 {
    u16::try_from(20_000 + random.below(10_000)).unwrap()
}

/// Half a file, a whole one, none, in order or by a reset, or nothing at all for a while.
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

async fn send(control: &mut TcpStream, bytes: &[u8]) -> Option<()> {
    let sent = timeout(Duration::from_millis(300), control.write_all(bytes)).await;
    sent.ok()?.ok()
}

/// The first lines of replies, as a client finds them that keeps to RFC 959: in the middle of a reply
/// of several lines anything may stand.
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

/// A client that looks at three digits only, wherever they stand, must not be led away either.
fn check_laxly(line: &str) {
    let passive = matches!(line.get(..3), Some("227" | "228" | "229"));
    let named = host_port(line).filter(|_| passive);
    let away = named.is_some_and(|named| named.ip() != IpAddr::from([127, 0, 0, 1]));
    assert!(!away, "{line}");
}

/// What comes within a few milliseconds; `None` at the end.
async fn hear(random: &mut Random, control: &mut TcpStream) -> Option<String> {
    let mut heard = Vec::new();
    if random.once_in(5) {
        return Some(String::new());
    }
    let patience = Duration::from_millis(1 + random.below(15) as u64);
    let mut some = [0; 4096];
    while heard.len() < 100_000 {
        match timeout(patience, control.read(&mut some)).await {
            Ok(Ok(0) | Err(_)) => return None,
            Ok(Ok(count)) => heard.extend_from_slice(&some[..count]),
            Err(_) => break,
        }
    }
    Some(String::from_utf8_lossy(&heard).into_owned())
}
