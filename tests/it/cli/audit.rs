//! `forward --audit` and `ferryline audit verify`: the record of the real program, over the embedded servers.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ferryline::demo::ftp_client::Mode;
use ferryline::demo::ftp_server::FtpServer;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::common::{
    Ended, Running, ScriptedClient, ScriptedServer, Shore, answer, logged_in, noise, read_to_end,
    run, sends_file,
};

/// A program with an audit record, and its FTP server.
struct Kept {
    shore: Shore,
    site: TempDir,
    server: FtpServer,
    file: PathBuf,
}

impl Kept {
    async fn new() -> Self {
        let site = tempfile::tempdir().unwrap();
        let server = FtpServer::start(site.path()).unwrap();
        let shore = Shore::new().await;
        let file = shore.home().join("audit.jsonl");
        Self {
            shore,
            site,
            server,
            file,
        }
    }

    async fn start(&self) -> (Running, SocketAddr) {
        start(&self.shore, &self.file, self.server.address().port()).await
    }

    fn lines(&self) -> Vec<Value> {
        lines(&self.file)
    }
}

async fn start(shore: &Shore, file: &Path, port: u16) -> (Running, SocketAddr) {
    let forward = format!("0:localhost:{port}");
    let file = file.to_str().unwrap();
    let mut ferry = shore.start(&["--audit", file, "-L", &forward]);
    let address = ferry.ftp_address().await;
    (ferry, address)
}

fn lines(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap();
    let lines = text.lines();
    lines
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// The lines about events of this kind.
fn of(lines: &[Value], event: &str) -> Vec<Value> {
    let wanted = lines.iter().filter(|line| line["event"] == event);
    wanted.cloned().collect()
}

async fn verify(home: &Path, arguments: &[&str]) -> Ended {
    run(home, &[&["audit", "verify"], arguments].concat()).await
}

async fn stop(ferry: Running) -> Ended {
    ferry.signal("TERM").await;
    let ended = ferry.ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended
}

#[tokio::test]
async fn the_hash_of_each_whole_binary_transfer_is_the_files() {
    let kept = Kept::new().await;
    let files = [
        ("empty", Vec::new()),
        ("text.txt", b"a\r\nb\nc\r\xff\xf4\0".to_vec()),
        ("large", noise(5 * 1024 * 1024 + 17)),
    ];
    let mut expected = Vec::new();
    let (ferry, address) = kept.start().await;
    let mut client = logged_in(address).await;
    for mode in [Mode::Passive, Mode::ExtendedPassive, Mode::Active] {
        for (name, content) in &files {
            fs::write(kept.site.path().join(name), content).unwrap();
            assert!(client.retrieve(mode, name).await.unwrap() == *content);
            let stored = format!("{mode} {name}");
            client.store(mode, &stored, content).await.unwrap();
            let on_server = fs::read(kept.site.path().join(&stored)).unwrap();
            let hex: String = Sha256::digest(&on_server)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            for command in [format!("RETR {name}"), format!("STOR {stored}")] {
                expected.push((command, hex.clone(), on_server.len() as u64));
            }
        }
    }
    client.quit().await.unwrap();
    stop(ferry).await;
    let lines = kept.lines();
    let transfers = of(&lines, "transfer");
    let found: Vec<_> = transfers
        .iter()
        .map(|line| {
            assert_eq!(
                (&line["sha256_of"], &line["type"]),
                (&"file".into(), &"I".into())
            );
            assert_eq!(line["result"], "complete");
            let text = |key: &str| line[key].as_str().unwrap().to_owned();
            let command = format!("{} {}", text("command"), text("argument"));
            (command, text("sha256"), line["bytes"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(found, expected);
    let by = |key: &str| -> Vec<_> {
        let modes = transfers.iter().step_by(6);
        modes
            .map(|line| line[key].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(by("client_mode"), ["PASV", "EPSV", "PORT"]);
    assert_eq!(by("carried"), ["as asked"; 3]);
}

#[tokio::test]
async fn who_was_connected_with_whom_stands_in_each_line_and_no_password_does() {
    let kept = Kept::new().await;
    fs::write(kept.site.path().join("a"), "x").unwrap();
    let (ferry, address) = kept.start().await;
    let mut client = logged_in(address).await;
    client.retrieve(Mode::Passive, "a").await.unwrap();
    client.retrieve(Mode::Passive, "missing").await.unwrap_err();
    client.quit().await.unwrap();
    stop(ferry).await;
    let lines = kept.lines();
    let events: Vec<_> = lines
        .iter()
        .map(|line| line["event"].as_str().unwrap())
        .collect();
    assert_eq!(
        events,
        [
            "begin",
            "ssh-up",
            "log-in",
            "transfer",
            "transfer",
            "session-end",
            "end"
        ]
    );
    let up = &of(&lines, "ssh-up")[0];
    let ssh_server = kept.shore.ssh_server.address().to_string();
    assert_eq!(up["ssh_server"], ssh_server);
    for line in &lines[2..6] {
        assert_eq!(line["ssh_user"], "tester");
        assert_eq!(line["ftp_user"], "demo");
        for key in ["ssh_server", "ssh_key", "host_key"] {
            assert_eq!(line[key], up[key], "{line}");
        }
        for key in ["ssh_key", "host_key"] {
            assert!(line[key].as_str().unwrap().starts_with("SHA256:"), "{line}");
        }
        let server = format!("localhost:{}", kept.server.address().port());
        assert_eq!(line["ftp_server"], server);
        assert!(line["client"].as_str().unwrap().starts_with("127.0.0.1:"));
        #[cfg(target_os = "linux")]
        assert_eq!(line["local_user"], nix::unistd::getuid().as_raw());
    }
    assert_ne!(up["ssh_key"], up["host_key"]);
    let host_key = kept.shore.ssh_server.host_public_key();
    assert_eq!(up["host_key"], fingerprint(&host_key), "{host_key}");
    // That server begins each transfer, and refuses it then.
    let refused = &of(&lines, "transfer")[1];
    assert_eq!(
        (&refused["result"], &refused["bytes"]),
        (&"cut".into(), &0.into())
    );
    assert!(
        refused["reply"].as_str().unwrap().starts_with("550 "),
        "{refused}"
    );
    let text = fs::read_to_string(&kept.file).unwrap();
    assert!(!text.contains("secret"), "{text}");
}

/// The fingerprint of a public key, a line as in `authorized_keys`, as OpenSSH shows it.
fn fingerprint(line: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let blob = line.split(' ').nth(1).unwrap().trim_end_matches('=');
    let values = blob
        .bytes()
        .map(|digit| DIGITS.iter().position(|known| *known == digit));
    let bits: String = values
        .map(|value| format!("{:06b}", value.unwrap()))
        .collect();
    let number = |bits: &[u8]| u8::from_str_radix(std::str::from_utf8(bits).unwrap(), 2).unwrap();
    let blob: Vec<u8> = bits.as_bytes().chunks_exact(8).map(number).collect();
    let hash = Sha256::digest(&blob);
    // 256 bits are 42 digits, and 4 bits that two zeros complete.
    let bits: String = hash.iter().map(|byte| format!("{byte:08b}")).collect();
    let bits = bits + "00";
    let digits = bits
        .as_bytes()
        .chunks_exact(6)
        .map(|bits| char::from(DIGITS[usize::from(number(bits))]));
    format!("SHA256:{}", digits.collect::<String>())
}

#[tokio::test]
async fn a_record_goes_on_and_what_was_done_to_it_is_found() {
    let kept = Kept::new().await;
    let home = kept.shore.home();
    for _ in 0..2 {
        let (ferry, address) = kept.start().await;
        let mut client = logged_in(address).await;
        client.store(Mode::Passive, "b", b"data").await.unwrap();
        client.quit().await.unwrap();
        stop(ferry).await;
    }
    let file = kept.file.to_str().unwrap();
    let whole = verify(home, &["--print-last", file]).await;
    assert_eq!(
        (whole.code, whole.stderr.as_str()),
        (Some(0), ""),
        "{whole:?}"
    );
    let lines: Vec<&str> = whole.stdout.lines().collect();
    assert_eq!(lines[0], "whole: 12 lines, 2 transfers");
    let (number, hash) = lines[1].split_once(' ').unwrap();
    assert_eq!(number, "12");
    let again = verify(home, &["--kept", hash, file]).await;
    assert_eq!(again.code, Some(0), "{again:?}");

    let text = fs::read_to_string(file).unwrap();
    // Lines removed at the end show by the hash that was kept, and by nothing else.
    let short: Vec<&str> = text.lines().take(8).collect();
    fs::write(file, short.join("\n") + "\n").unwrap();
    let cut = verify(home, &[file]).await;
    assert_eq!(cut.code, Some(0));
    assert!(cut.stdout.contains("it has no end"), "{cut:?}");
    let cut = verify(home, &["--kept", hash, file]).await;
    assert!(
        cut.one_line(1).starts_with("no line has the hash "),
        "{cut:?}"
    );

    fs::write(file, text.replacen("\"bytes\":4", "\"bytes\":5", 1)).unwrap();
    let changed = verify(home, &[file]).await;
    let line = changed.one_line(1);
    assert!(
        line.contains("audit.jsonl:4: this line was changed"),
        "{line}"
    );
    let missing = verify(home, &["no-such-file"]).await;
    assert!(missing.one_line(2).starts_with("cannot read no-such-file"));

    // The program appends to nothing else.
    fs::write(file, "something else\n").unwrap();
    let ended = kept
        .shore
        .run(&["--audit", file, "-L", "0:localhost:21"])
        .await;
    assert!(
        ended
            .one_line(1)
            .contains("does not end like an audit record"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn names_cannot_forge_a_line() {
    let shore = Shore::new().await;
    let server = script().start().await;
    let file = shore.home().join("audit.jsonl");
    let (ferry, address) = start(&shore, &file, server.address().port()).await;
    let mut client = ScriptedClient::logged_in(address).await;
    let name = "a\",\"event\":\"end\"}\t\\ \u{202e}\u{e4}";
    client.ask(&format!("RETR nothing{name}"), "550 ").await;
    client.ask("QUIT", "221 ").await;
    stop(ferry).await;
    let text = fs::read_to_string(&file).unwrap();
    let lines = lines(&file);
    assert_eq!((text.lines().count(), lines.len()), (6, 6), "{text}");
    assert!(!text.contains('\u{202e}') && !text.contains('\t'), "{text}");
    let shown = "nothinga\",\"event\":\"end\"}\\x09\\\\ \\xe2\\x80\\xae\u{e4}";
    let refused = &of(&lines, "transfer")[0];
    assert_eq!(
        (&refused["argument"], &refused["result"]),
        (&shown.into(), &"refused".into())
    );
    assert!(refused["sha256"].is_null(), "{refused}");
}

/// However far it was, the record ends with a whole line after the next start.
#[tokio::test]
async fn a_record_whose_program_was_killed_under_load_is_whole_after_the_next_start() {
    let kept = Kept::new().await;
    fs::write(kept.site.path().join("a"), noise(1000)).unwrap();
    let mut starts = 0;
    for round in 1..=4_usize {
        let (ferry, address) = kept.start().await;
        starts += 1;
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..4 {
            clients.spawn(async move {
                let mut client = logged_in(address).await;
                while client.retrieve(Mode::Passive, "a").await.is_ok() {}
            });
        }
        // Somewhere in the middle of it.
        let enough = async {
            while of(&kept.lines(), "transfer").len() < 40 * round {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(crate::common::PATIENCE, enough)
            .await
            .unwrap();
        ferry.signal("KILL").await;
        drop(ferry.ended().await);
        clients.abort_all();
        // As if it had come in the middle of a line, too: the disk may have had a part of it only.
        if round == 2 {
            let text = fs::read(&kept.file).unwrap();
            fs::write(&kept.file, &text[..text.len() - 100]).unwrap();
        }
    }
    let (ferry, _) = kept.start().await;
    stop(ferry).await;
    let whole = verify(kept.shore.home(), &[kept.file.to_str().unwrap()]).await;
    assert_eq!(whole.code, Some(0), "{whole:?}");
    assert!(
        whole
            .stdout
            .contains(&format!("{starts} starts without an end")),
        "{whole:?}"
    );
    assert!(whole.stdout.contains("1 line cut off"), "{whole:?}");
}

#[tokio::test]
async fn an_ssh_connection_that_is_lost_is_a_line_and_so_is_the_next_one() {
    let kept = Kept::new().await;
    let (ferry, _) = kept.start().await;
    kept.shore.ssh_server.kill();
    let up_again = async {
        while of(&kept.lines(), "ssh-up").len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::common::PATIENCE, up_again)
        .await
        .unwrap();
    stop(ferry).await;
    let lines = kept.lines();
    let (up, lost) = (of(&lines, "ssh-up"), of(&lines, "ssh-lost"));
    assert_eq!((up.len(), lost.len()), (2, 1));
    assert!(!lost[0]["reason"].as_str().unwrap().is_empty());
    for key in ["ssh_server", "ssh_user", "ssh_key", "host_key"] {
        assert_eq!(up[0][key], lost[0][key]);
        assert_eq!(up[0][key], up[1][key]);
    }
}

fn script() -> crate::common::Script {
    ScriptedServer::new()
        .on("RETR nothing", answer().send("550 no\r\n"))
        .on("RETR", sends_file(noise(100)))
        .on("CWD", answer().send("250 there\r\n"))
        .on("QUIT", answer().send("221 bye\r\n").close())
}

/// Carries a file, over a session of its own.
async fn carry(address: SocketAddr, name: &str) {
    let mut client = ScriptedClient::logged_in(address).await;
    let data = client.passive().await;
    client.ask(&format!("RETR {name}"), "150 ").await;
    assert_eq!(read_to_end(data).await.unwrap().len(), 100);
    client.expect("226 ").await;
    client.ask("QUIT", "221 ").await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_stops_no_session() {
    let shore = Shore::new().await;
    let server = script().start().await;
    let port = server.address().port();
    let (mut ferry, address) = start(&shore, Path::new("/dev/full"), port).await;
    carry(address, "a").await;
    let line = ferry.error_line("cannot write the audit record").await;
    assert!(
        line.contains("/dev/full: No space left on device"),
        "{line}"
    );
    carry(address, "b").await;
    ferry.signal("TERM").await;
    // Two log-ins, transfers and ends of sessions, the SSH connection, and the end of the record.
    let told = "the audit record /dev/full is not complete: 8 lines could not be written";
    ferry.error_line(told).await;
    assert_eq!(ferry.ended().await.code, Some(0));
}

/// A pipe that nobody reads takes 64 KiB, and then stands still.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_disk_that_stands_still_stops_no_session_and_no_signal() {
    let shore = Shore::new().await;
    let server = script().start().await;
    let file = shore.home().join("pipe");
    nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let (mut ferry, address) = start(&shore, &file, server.address().port()).await;
    let mut client = ScriptedClient::logged_in(address).await;
    let name = "x".repeat(4000);
    let deep = "y".repeat(3000);
    client.ask(&format!("CWD /{deep}"), "250 ").await;
    // Each line has the name twice, and the folder twice.
    for _ in 0..400 {
        client.ask(&format!("RETR nothing{name}"), "550 ").await;
    }
    let line = ferry.error_line("loses lines").await;
    assert!(line.contains("4194304 bytes wait already"), "{line}");
    carry(address, "a").await;
    ferry.signal("TERM").await;
    client.expect("421 ferryline: ").await;
    drop(client);
    ferry
        .error_line("the disk has not taken its last lines within 3 s")
        .await;
    assert_eq!(ferry.ended().await.code, Some(0));
}

/// A small file system of its own. In the end it is removed.
#[cfg(target_os = "linux")]
struct SmallDisk(TempDir);

#[cfg(target_os = "linux")]
impl SmallDisk {
    /// `None`: it cannot be made here.
    fn new() -> Option<Self> {
        let disk = Self(tempfile::tempdir().unwrap());
        let path = disk.0.path().to_str().unwrap();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs", path]);
        let mounted = mount.stderr(std::process::Stdio::null()).status();
        mounted.is_ok_and(|status| status.success()).then_some(disk)
    }
}

#[cfg(target_os = "linux")]
impl Drop for SmallDisk {
    fn drop(&mut self) {
        let mut unmount = std::process::Command::new("umount");
        let _ = unmount.arg("-l").arg(self.0.path()).status();
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_a_full_disk_did_not_take_is_written_when_there_is_room_again() {
    use std::io::Write;

    let Some(disk) = SmallDisk::new() else {
        return crate::common::skipped("it needs root, to mount a tmpfs");
    };
    let shore = Shore::new().await;
    let server = script().start().await;
    let file = disk.0.path().join("audit.jsonl");
    let (mut ferry, address) = start(&shore, &file, server.address().port()).await;
    carry(address, "before").await;
    let filler = disk.0.path().join("filler");
    let mut filling = fs::File::create(&filler).unwrap();
    while filling.write(&[0; 4096]).is_ok_and(|written| written > 0) {}
    // Some lines still fit into the last block of the file, and then one does not.
    for number in 0..5 {
        carry(address, &number.to_string()).await;
    }
    ferry.error_line("No space left on device").await;
    fs::remove_file(&filler).unwrap();
    drop(filling);
    ferry.signal("TERM").await;
    assert_eq!(ferry.ended().await.code, Some(0));
    let whole = verify(shore.home(), &[file.to_str().unwrap()]).await;
    // Not a part of a line was left, and none was lost.
    assert_eq!(whole.stdout, "whole: 21 lines, 6 transfers\n", "{whole:?}");
}
