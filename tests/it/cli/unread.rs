//! The real program where its standard output or standard error is a pipe that is full and is not read: no
//! session and no signal waits for the reader.

use std::net::SocketAddr;

use crate::common::{
    Script, ScriptedClient, ScriptedServer, Shore, answer, nobody, read_to_end, six_numbers,
    skipped,
};

/// More than a pipe holds (64 KiB), and than ferryline keeps for it (2 MiB at most): each command is seen
/// four times at `-vv`, with its reply.
const COMMANDS: usize = 1000;

async fn flood(client: &mut ScriptedClient) {
    let command = format!("CWD {}", "x".repeat(1500));
    for _ in 0..COMMANDS {
        client.ask(&command, "250 ").await;
    }
}

fn script() -> Script {
    ScriptedServer::new().on("CWD", answer().send("250 there\r\n"))
}

#[tokio::test]
async fn a_standard_error_that_is_not_read_holds_up_neither_sessions_nor_sigterm() {
    let shore = Shore::new().await;
    let server = script().start().await;
    let forward = format!("0:localhost:{}", server.address().port());
    let mut ferry = shore.start(&["-vv", "-L", &forward]);
    let address = ferry.ftp_address().await;
    let mut client = ScriptedClient::logged_in(address).await;
    flood(&mut client).await;
    let mut other = ScriptedClient::logged_in(address).await;
    other.ask("NOOP", "200 ").await;
    ferry.signal("TERM").await;
    client.expect("421 ferryline: ").await;
    other.expect("421 ferryline: ").await;
    drop((client, other));
    assert_eq!(ferry.ended_unread().await, Some(0));
}

#[tokio::test]
async fn a_reader_that_comes_back_is_told_how_much_it_missed() {
    let shore = Shore::new().await;
    let server = script().start().await;
    let forward = format!("0:localhost:{}", server.address().port());
    let mut ferry = shore.start(&["-vv", "-L", &forward]);
    let address = ferry.ftp_address().await;
    let mut client = ScriptedClient::logged_in(address).await;
    flood(&mut client).await;
    let told = ferry.error_line("lost here: ").await;
    let lost = told.strip_prefix("ferryline: ").unwrap();
    let lost: usize = lost.split(' ').next().unwrap().parse().unwrap();
    assert!((1..10 * COMMANDS).contains(&lost), "{told}");
    // From here on nothing is missing.
    client.ask("NOOP", "200 ").await;
    ferry.error_line("C> NOOP").await;
}

/// The pipe is full before the program starts.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_standard_output_that_is_not_read_holds_up_neither_sessions_nor_sigterm() {
    use std::io::Write;

    let shore = Shore::new().await;
    let server = script().start().await;
    let forward = format!("0:localhost:{}", server.address().port());
    let (_unread, mut full) = std::io::pipe().unwrap();
    // The capacity of a pipe (pipe(7)).
    full.write_all(&[b'x'; 65_536]).unwrap();
    let mut ferry = shore.start_with_stdout(&["-v", "-L", &forward], full.into());
    // The program writes it as soon as it listens.
    let line = ferry.error_line(" can be reached at ").await;
    let (_, port) = line.split_once("ftp://127.0.0.1:").unwrap();
    let port: u16 = port.split(' ').next().unwrap().parse().unwrap();
    let mut client = ScriptedClient::logged_in(SocketAddr::from(([127, 0, 0, 1], port))).await;
    client.ask("NOOP", "200 ").await;
    ferry.signal("TERM").await;
    client.expect("421 ferryline: ").await;
    drop(client);
    assert_eq!(ferry.ended_unread().await, Some(0));
}

/// A client can cause as many as it likes; the log has one warning of each kind a minute.
#[tokio::test]
async fn data_ports_that_do_not_answer_are_one_line_of_the_log() {
    let shore = Shore::new().await;
    let (_nobody, address) = nobody();
    let reply = format!("227 ({})\r\n", six_numbers(address));
    let server = ScriptedServer::new()
        .on("PASV", answer().send(reply))
        .start()
        .await;
    let forward = format!("0:localhost:{}", server.address().port());
    let mut ferry = shore.start(&["-L", &forward]);
    let address = ferry.ftp_address().await;
    let mut client = ScriptedClient::logged_in(address).await;
    for _ in 0..50 {
        let data = client.passive().await;
        read_to_end(data).await.unwrap_err();
    }
    ferry.signal("TERM").await;
    client.expect("421 ferryline: ").await;
    drop(client);
    let log = ferry.ended().await.stderr;
    let lines = log.lines().filter(|line| line.contains("data connection"));
    // One, and one more for each minute that this takes on a busy machine.
    assert!((1..=3).contains(&lines.count()), "{log}");
}

/// A small file system of its own, which can be frozen. In the end it is thawed and removed.
#[cfg(target_os = "linux")]
struct Ice(tempfile::TempDir);

#[cfg(target_os = "linux")]
impl Ice {
    /// `None`: it cannot be made here.
    fn new() -> Option<Self> {
        let ice = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(ice.path()).unwrap();
        let image = ice.0.path().join("image");
        std::fs::File::create(&image)
            .and_then(|file| file.set_len(16 << 20))
            .unwrap();
        let image = image.to_str().unwrap();
        let path = ice.path();
        let path = path.to_str().unwrap();
        let made = ice.run("mkfs.ext4", &["-q", image])
            && ice.run("mount", &["-o", "loop", image, path])
            && ice.run("fsfreeze", &["-f", path])
            && ice.run("fsfreeze", &["-u", path]);
        made.then_some(ice)
    }

    fn path(&self) -> std::path::PathBuf {
        self.0.path().join("mounted")
    }

    fn run(&self, program: &str, arguments: &[&str]) -> bool {
        let mut command = std::process::Command::new(program);
        command
            .args(arguments)
            .stderr(std::process::Stdio::null())
            .stdout(std::process::Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }

    fn freeze(&self) {
        assert!(self.run("fsfreeze", &["-f", self.path().to_str().unwrap()]));
    }

    fn thaw(&self) {
        self.run("fsfreeze", &["-u", self.path().to_str().unwrap()]);
    }
}

#[cfg(target_os = "linux")]
impl Drop for Ice {
    fn drop(&mut self) {
        self.thaw();
        self.run("umount", &["-l", self.path().to_str().unwrap()]);
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_file_system_that_stands_still_under_the_transcripts_holds_up_nobody() {
    let Some(ice) = Ice::new() else {
        skipped("it needs root, a loop device, mkfs.ext4 and fsfreeze");
        return;
    };
    let shore = Shore::new().await;
    let server = script().start().await;
    let forward = format!("0:localhost:{}", server.address().port());
    let folder = ice.path();
    let record = ["--record", folder.to_str().unwrap(), "-L", &forward, "-v"];
    let mut ferry = shore.start(&record);
    let address = ferry.ftp_address().await;
    let mut client = ScriptedClient::logged_in(address).await;
    ferry.error_line("#1 is recorded in ").await;
    ice.freeze();
    flood(&mut client).await;
    // Its transcript has ended by then, because more waits to be written than is allowed.
    ferry.error_line("#1 is recorded no further").await;
    let mut other = ScriptedClient::logged_in(address).await;
    other.ask("NOOP", "200 ").await;
    ferry.signal("TERM").await;
    client.expect("421 ferryline: ").await;
    other.expect("421 ferryline: ").await;
    drop((client, other));
    ferry.error_line("transcripts are not complete").await;
    // The kernel keeps the rest of a process that writes there until the file system is thawed.
    ice.thaw();
    assert_eq!(ferry.ended_unread().await, Some(0));
}
