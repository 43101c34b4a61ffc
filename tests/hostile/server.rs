//! An FTP server that tries whatever may do harm.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::common::{extended_address, host_port, six_numbers};
use super::random::Random;

const REPLIES: &[&str] = &[
    "200 ok\r\n",
    "226 done\r\n",
    "150 now\r\n",
    "230 in\r\n",
    "331 password\r\n",
    "500 no\r\n",
    "502 no\r\n",
    "530 log in\r\n",
    "425 no\r\n",
    "550 x\r\n227 (10,0,0,9,200,13)\r\n",
    "221 bye\r\n",
    "421 no\r\n",
    "125 there\r\n",
    "350 on\r\n",
    "234 go ahead\r\n",
    "522 no (1,2)\r\n",
    "211-features\r\n AUTH TLS\r\n EPSV\r\n211 end\r\n",
    "211-never ends\r\n",
    "150-\r\n",
    // Passive replies that lead elsewhere, or nowhere.
    "227 (10,0,0,9,200,13)\r\n",
    "227 (169,254,169,254,0,80)\r\n",
    "227 (127,0,0,1,0,22)\r\n",
    "227 (127,0,0,1,256,1)\r\n",
    "227 =0,0,0,0,200,13\r\n",
    "227 (1,2,3)\r\n",
    "227-\r\n227 x\r\n",
    "229 (|||22|)\r\n",
    "229 (|||70000|)\r\n",
    "229 (|2|fe80::1|51213|)\r\n",
    "229 x\r\n",
    "228 (4,4,127,0,0,1,2,200,13)\r\n",
    // Only lax clients see where these lead.
    "227.Entering (10,0,0,9,200,13)\r\n",
    "200 ok (10,0,0,9,200,13)\r\n",
    "226-ok (10,0,0,9,200,13)\r\n226 ok\r\n",
    "257-x\r\n250 y\r\n229 x (|||22|)\r\n226 (10,0,0,9,200,13)\r\n257 z\r\n",
    "227: Entering (10,0,0,9,200,13)\r\n",
    "227Entering (10,0,0,9,200,13)\r\n",
    "227\t(10,0,0,9,200,13)\r\n",
    " 227 (10,0,0,9,200,13)\r\n",
    "\u{feff}227 (10,0,0,9,200,13)\r\n",
    "227 (10,0,0,9,-56,13)\r\n",
    "200 (10,0,0,9,-56, +13)\r\n",
    "127 PORT (10,0,0,9,200,13)\r\n",
    "229:(|||22|)\r\n",
    " 211-x\r\n 227 (10,0,0,9,200,13)\r\n 211: x\r\n",
    "214-\r\n\n\n\n\n\n\n\n\n214 x\r\n",
    "226 done\r\n214-x\r\n\n\n\n\n\n\n\n\n",
    // Line ends that are rare.
    "200 a\0\r\n",
    "200 a\r\n\0",
    "200 a\n\r",
    "227 (10,0,0,9,200,13)\n\r",
    "227 (10,0,0,9,200,13)\r",
    "200: a\r\n",
    // Lines that are more than one line for some clients, or none.
    "200 a\r227 (10,0,0,9,200,13)\r\n",
    "200 a\nb\r\n",
    "\r\n",
    "hello\r\n",
    "99\r\n",
    "200\r\n",
    "2000 x\r\n",
    "\x1b[2J\r\n",
    "200 \u{fc}\r\n",
];

const OTHERS: &[&[u8]] = &[
    b"\xff\xfd\x01\xff\xfb\x03200 telnet\r\n",
    b"200 n\0l\r\n",
    b"2\xffZ27 (10,0,0,9,200,13)\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
    b"200 no end of line",
    b"22\xff\xfaX\xff\xf07 (10,0,0,9,200,13)\r\n",
    b"250 \xff\xfa\r\n",
];

const GREETINGS: &[&[u8]] = &[
    b"220 hostile\r\n",
    b"220 hostile\r\n",
    b"220: hostile\r\n",
    b" 220 hostile\r\n",
    b"220 hostile\0\r\n",
    b"\x00220 hostile\r\n\0",
    b"220 hostile\n\r",
    b"220-a\r220 hostile\r",
    b"\xef\xbb\xbf220 hostile\r\n",
];

/// Serves until it is dropped. No peer may be sent to `trap`.
pub async fn run(listener: TcpListener, seed: u64, trap: SocketAddr) {
    let mut sessions = JoinSet::new();
    let mut number = 0;
    while let Ok((control, _)) = listener.accept().await {
        number += 1;
        sessions.spawn(serve(Random::new(seed + number), control, trap));
        while sessions.try_join_next().is_some() {}
    }
}

async fn serve(mut random: Random, mut control: TcpStream, trap: SocketAddr) -> Option<()> {
    let random = &mut random;
    let mut data = None;
    if !random.once_in(10) {
        let greeting = *random.pick(GREETINGS);
        send(&mut control, greeting).await?;
    }
    let mut read = vec![0; 16 * 1024];
    let mut rest = String::new();
    let mut unasked = 0;
    loop {
        // Now and then a line without a command.
        let heard = timeout(Duration::from_millis(200), control.read(&mut read)).await;
        let heard = match heard {
            Ok(Ok(0) | Err(_)) => return None,
            Ok(Ok(count)) => String::from_utf8_lossy(&read[..count]).into_owned(),
            // As long as the server sends lines, a session stays whose client waits for an upload's reply.
            Err(_) if unasked > 20 => continue,
            Err(_) => "unasked".to_owned(),
        };
        unasked = if heard == "unasked" { unasked + 1 } else { 0 };
        rest.push_str(&heard);
        let whole = rest.rfind('\n').map_or(0, |at| at + 1);
        let lines: String = match heard.as_str() {
            "unasked" => std::mem::take(&mut rest),
            _ => rest.drain(..whole).collect(),
        };
        // No address that the client names comes here, of its own or of others, in whatever command.
        for address in ["10,0,0,1,200", six_numbers(trap).as_str()] {
            assert!(!lines.contains(address), "{lines:?}");
        }
        for line in lines.lines().take(200) {
            let told = match line.get(..5) {
                Some("PORT ") => host_port(line),
                Some("EPRT ") => extended_address(line),
                _ => None,
            };
            if let Some(told) = told {
                // No address that the client named comes here, and only loopback does.
                assert_ne!(told.ip(), trap.ip(), "{line}");
                assert!(told.ip().is_loopback(), "{line}");
                for _ in 0..random.below(3) {
                    let connect = TcpStream::connect(told);
                    if let Ok(Ok(stream)) = timeout(Duration::from_secs(1), connect).await {
                        use_data(random, stream).await;
                    }
                }
            }
            let upload = lines.contains("STOR u") && !random.once_in(4);
            answer(random, &mut control, &mut data, line, trap, upload).await?;
        }
        if let Some(listener) = &data
            && let Ok(Ok((stream, _))) = timeout(Duration::from_millis(5), accept(listener)).await
        {
            use_data(random, stream).await;
        }
    }
}

/// Takes an upload. Returns how much came, if it is what its name says.
async fn take_upload(listener: &TcpListener, name: &str) -> Option<usize> {
    let accepted = timeout(Duration::from_secs(1), listener.accept()).await;
    let (mut stream, _) = accepted.ok()?.ok()?;
    let mut bytes = Vec::new();
    let read = timeout(Duration::from_secs(2), stream.read_to_end(&mut bytes)).await;
    read.ok()?.ok()?;
    let expected = name.bytes().cycle();
    let its_own = bytes.iter().copied().zip(expected).all(|(a, b)| a == b);
    (its_own && !bytes.is_empty()).then_some(bytes.len())
}

async fn accept(listener: &TcpListener) -> std::io::Result<(TcpStream, SocketAddr)> {
    listener.accept().await
}

async fn answer(
    random: &mut Random,
    control: &mut TcpStream,
    data: &mut Option<TcpListener>,
    line: &str,
    trap: SocketAddr,
    upload: bool,
) -> Option<()> {
    let passive = line.starts_with("PASV") || line.starts_with("EPSV");
    if let Some(name) = line.strip_prefix("STOR u")
        && let Some(listener) = data.take_if(|_| !random.once_in(4))
    {
        send(control, b"150 now\r\n").await?;
        let name = format!("u{name}");
        let stored = take_upload(&listener, &name).await;
        let answer = match stored {
            Some(count) => format!("226 stored {name} {count}\r\n"),
            None => "226 done\r\n".to_owned(),
        };
        return send(control, answer.as_bytes()).await;
    }
    // It does what an upload needs, so that some succeed.
    let chance = if upload && passive {
        24
    } else {
        random.below(24)
    };
    match chance {
        0 => {}
        1 => send(control, random.pick::<&[u8]>(OTHERS)).await?,
        2 => send(control, &random.bytes(200)).await?,
        3 if random.once_in(4) => {
            send(control, &vec![b'2'; 60_000 + random.below(10_000)]).await?;
        }
        4 => {
            let many = random.pick::<&str>(REPLIES).repeat(1 + random.below(60));
            send(control, many.as_bytes()).await?;
        }
        5 if random.once_in(6) => return None,
        6 if random.once_in(6) => {
            let _ = control.set_zero_linger();
            return None;
        }
        7 => {
            let line = format!("227 ({})\r\n", six_numbers(trap));
            send(control, line.as_bytes()).await?;
        }
        8 => tokio::time::sleep(Duration::from_millis(random.below(50) as u64)).await,
        9..=14 => send(control, random.pick::<&str>(REPLIES).as_bytes()).await?,
        _ if passive => {
            let listener = TcpListener::bind("127.0.0.1:0").await.ok()?;
            let address = listener.local_addr().ok()?;
            *data = Some(listener);
            let reply = match line.starts_with("PASV") {
                true => format!("227 ({})\r\n", six_numbers(address)),
                false => format!("229 (|||{}|)\r\n", address.port()),
            };
            send(control, reply.as_bytes()).await?;
        }
        _ => {
            let usual = match line.get(..4) {
                Some("USER") => "331 password\r\n",
                Some("PASS") => "230 in\r\n",
                Some("RETR" | "LIST" | "STOR" | "APPE") => "150 now\r\n226 done\r\n",
                _ => "200 ok\r\n",
            };
            send(control, usual.as_bytes()).await?;
        }
    }
    Some(())
}

async fn use_data(random: &mut Random, mut stream: TcpStream) {
    let bytes = random.bytes(3000);
    match random.below(4) {
        0 => drop(stream.set_zero_linger()),
        1 => {
            let _ = stream.write_all(&bytes).await;
        }
        2 => {
            let mut some = vec![0; 1 + random.below(5000)];
            let _ = timeout(Duration::from_millis(10), stream.read(&mut some)).await;
        }
        _ => {}
    }
}

async fn send(control: &mut TcpStream, bytes: &[u8]) -> Option<()> {
    let sent = timeout(Duration::from_secs(1), control.write_all(bytes)).await;
    sent.ok()?.ok()
}
