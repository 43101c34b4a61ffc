//! The real program, as a child process, and an SSH server for it to connect to.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use ferryline::demo::ssh_server::{self, KeyPair, SshServer};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::time::timeout;

use super::{PATIENCE, write_private};

/// The results of a program that has ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// Checks that the program failed with this exit code, nothing on standard output and one line on
    /// standard error. Returns what follows `ferryline: ` in that line.
    pub fn one_line(&self, code: i32) -> &str {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        let line = self.stderr.strip_suffix('\n');
        let line = line.unwrap_or_else(|| panic!("no whole line: {self:?}"));
        assert!(!line.contains('\n'), "more than one line:\n{}", self.stderr);
        line.strip_prefix("ferryline: ")
            .unwrap_or_else(|| panic!("it does not say who speaks: {line}"))
    }
}

/// `ferryline` with these arguments, in an environment that has nothing of the user's.
pub fn program(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ferryline"));
    command.args(arguments);
    // ssh, which is asked for its configuration, would find the user's home even without HOME.
    if arguments.first() == Some(&"forward") && !arguments.contains(&"-F") {
        command.args(["-F", "none"]);
    }
    command
        .env_clear()
        .env("HOME", home)
        .env("USER", "tester")
        .env("LC_ALL", "C.UTF-8")
        .current_dir(home)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    // Windows needs this to open a socket.
    if let Some(root) = std::env::var_os("SystemRoot") {
        command.env("SystemRoot", root);
    }
    command
}

/// Runs the program to its end.
pub async fn run(home: &Path, arguments: &[&str]) -> Ended {
    let output = timeout(PATIENCE, program(home, arguments).output()).await;
    let output = output.expect("the program did not end").unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A program that runs until it is stopped.
pub struct Running {
    child: Child,
    /// Set where it is a pipe of the test's.
    stdout: Option<BufReader<ChildStdout>>,
    said: String,
    /// Set once it is read from.
    stderr: Option<BufReader<ChildStderr>>,
}

impl Running {
    pub fn start(home: &Path, arguments: &[&str]) -> Self {
        Self::start_with_path(home, None, arguments)
    }

    /// Starts the program with this search path for programs; `None`: without one in the environment.
    pub fn start_with_path(home: &Path, path: Option<&str>, arguments: &[&str]) -> Self {
        let mut program = program(home, arguments);
        program.envs(path.map(|path| ("PATH", path)));
        Self::spawned(program)
    }

    /// Starts the program with this variable in its environment.
    pub fn start_with(home: &Path, variable: (&str, &str), arguments: &[&str]) -> Self {
        let mut program = program(home, arguments);
        program.env(variable.0, variable.1);
        Self::spawned(program)
    }

    /// Starts the program with these variables in its environment.
    pub fn start_with_all(
        home: &Path,
        variables: &[(String, String)],
        arguments: &[String],
    ) -> Self {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut program = program(home, &arguments);
        program.envs(variables.iter().map(|(name, value)| (name, value)));
        Self::spawned(program)
    }

    /// Starts the program with a socket that it is passed as systemd does, besides these variables.
    #[cfg(unix)]
    pub fn start_with_socket(
        home: &Path,
        socket: std::net::TcpListener,
        variables: &[(String, String)],
        arguments: &[String],
    ) -> Self {
        let script = "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" \"$@\"";
        let mut command = script_of(home, script, arguments);
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::from(std::os::fd::OwnedFd::from(socket)));
        Self::spawned(command)
    }

    fn spawned(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().map(BufReader::new);
        Self {
            child,
            stdout,
            said: String::new(),
            stderr: None,
        }
    }

    /// Starts the program with this number of file descriptors at most.
    #[cfg(unix)]
    pub fn limited(home: &Path, descriptors: u32, arguments: &[String]) -> Self {
        Self::under(home, &format!("-n {descriptors}"), arguments)
    }

    /// Starts the program with this number of file descriptors, which it may raise.
    #[cfg(unix)]
    pub fn limited_softly(home: &Path, descriptors: u32, arguments: &[String]) -> Self {
        Self::under(home, &format!("-S -n {descriptors}"), arguments)
    }

    /// Starts the program so that it ignores SIGHUP, or does not, whatever the tests themselves were started
    /// with.
    #[cfg(unix)]
    pub fn with_hang_up(home: &Path, ignored: bool, arguments: &[String]) -> Self {
        let what = if ignored { "ignore" } else { "default" };
        Self::by(
            home,
            &format!("exec env --{what}-signal=HUP \"$0\" \"$@\""),
            arguments,
        )
    }

    #[cfg(unix)]
    fn under(home: &Path, limit: &str, arguments: &[String]) -> Self {
        let script = format!("ulimit {limit} && exec \"$0\" \"$@\"");
        Self::by(home, &script, arguments)
    }

    /// Starts the program by a shell script that gets its path and its arguments.
    #[cfg(unix)]
    fn by(home: &Path, script: &str, arguments: &[String]) -> Self {
        Self::spawned(script_of(home, script, arguments))
    }

    /// Reads the next line of its standard output, without its end.
    pub async fn line(&mut self) -> String {
        let mut line = String::new();
        let stdout = self.stdout.as_mut().expect("a pipe of the test's");
        let read = timeout(PATIENCE, stdout.read_line(&mut line)).await;
        read.expect("the program says nothing").unwrap();
        if !line.ends_with('\n') {
            let mut stderr = String::new();
            if let Some(mut pipe) = self.child.stderr.take() {
                pipe.read_to_string(&mut stderr).await.unwrap();
            }
            panic!("the program ended: {line}\n{stderr}");
        }
        self.said.push_str(&line);
        line.trim_end_matches(['\r', '\n']).to_owned()
    }

    /// Reads the next line, which names the address at which it takes FTP clients; `*` is the unspecified one.
    pub async fn ftp_address(&mut self) -> SocketAddr {
        let line = self.line().await;
        let rest = line.strip_prefix("ftp://");
        let rest = rest.unwrap_or_else(|| panic!("no ready line: {line}"));
        let address = rest.split(' ').next().unwrap();
        address.replace('*', "0.0.0.0").parse().unwrap()
    }

    /// Reads its standard error up to a line that contains this text.
    pub async fn error_line(&mut self, part: &str) -> String {
        let pipe = &mut self.child.stderr;
        let stderr = self
            .stderr
            .get_or_insert_with(|| BufReader::new(pipe.take().unwrap()));
        let find = async {
            loop {
                let mut line = String::new();
                let read = stderr.read_line(&mut line).await.unwrap();
                assert!(read > 0, "it ended without a line with {part}");
                if line.contains(part) {
                    return line.trim_end().to_owned();
                }
            }
        };
        timeout(PATIENCE, find).await.expect("no such line")
    }

    /// Waits for its end without reading its output; returns its exit code.
    pub async fn ended_unread(mut self) -> Option<i32> {
        let ended = timeout(PATIENCE, self.child.wait()).await;
        ended.expect("it did not end").unwrap().code()
    }

    /// Closes the reading end of its standard error.
    pub fn lose_stderr(&mut self) {
        drop(self.child.stderr.take());
    }

    /// Sends it a signal, by its name without SIG.
    #[cfg(unix)]
    pub async fn signal(&self, name: &str) {
        let id = self.child.id().expect("it still runs");
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -{name} {id}")])
            .status()
            .await;
        assert!(sent.unwrap().success());
    }

    /// Whether the kernel keeps SIGHUP from it (proc(5)).
    #[cfg(target_os = "linux")]
    pub fn ignores_hang_up(&self) -> bool {
        let id = self.child.id().expect("it still runs");
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let mut lines = status.lines();
        let ignored = lines.find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
        u64::from_str_radix(ignored.trim(), 16).unwrap() & 1 == 1
    }

    /// Its resident memory, in bytes.
    #[cfg(target_os = "linux")]
    pub fn resident(&self) -> u64 {
        let id = self.child.id().expect("it still runs");
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.unwrap().trim().trim_end_matches(" kB");
        kilobytes.parse::<u64>().unwrap() * 1024
    }

    /// Waits for its end.
    pub async fn ended(mut self) -> Ended {
        let mut stderr = String::new();
        let pipe = self.child.stderr.take();
        let end = async {
            if let Some(mut stdout) = self.stdout {
                stdout.read_to_string(&mut self.said).await.unwrap();
            }
            if let Some(mut pipe) = pipe {
                pipe.read_to_string(&mut stderr).await.unwrap();
            }
            self.child.wait().await.unwrap()
        };
        let status = timeout(PATIENCE, end).await.expect("it did not end");
        Ended {
            code: status.code(),
            stdout: self.said,
            stderr,
        }
    }
}

/// A shell script that gets the program's path and its arguments.
#[cfg(unix)]
fn script_of(home: &Path, script: &str, arguments: &[String]) -> Command {
    let plain = program(home, &[]);
    let mut command = Command::new("sh");
    command
        .args(["-c", script])
        .arg(plain.as_std().get_program())
        .args(arguments)
        .env_clear()
        .env("HOME", home)
        .env("USER", "tester")
        .env("LC_ALL", "C.UTF-8")
        .current_dir(home)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// An SSH server that `tester` can log in to, and the files for it.
pub struct Shore {
    pub folder: TempDir,
    pub ssh_server: SshServer,
    pub key: PathBuf,
    pub known_hosts: PathBuf,
}

impl Shore {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pair = KeyPair::generate(None).unwrap();
        let ssh_server = SshServer::start(ssh_server::Options {
            user: "tester".to_owned(),
            authorized_keys: vec![pair.public.clone()],
            ..ssh_server::Options::default()
        })
        .await
        .unwrap();
        let key = folder.path().join("key");
        let known_hosts = folder.path().join("known_hosts");
        write_private(&key, &pair.private);
        std::fs::write(&known_hosts, ssh_server.known_hosts()).unwrap();
        Self {
            folder,
            ssh_server,
            key,
            known_hosts,
        }
    }

    pub fn home(&self) -> &Path {
        self.folder.path()
    }

    /// The arguments of `forward`: those given, then those that lead to this server.
    pub fn arguments(&self, before: &[&str]) -> Vec<String> {
        let address = self.ssh_server.address();
        let mut all = vec!["forward".to_owned()];
        all.extend(before.iter().map(|&argument| argument.to_owned()));
        all.extend([
            "-o".to_owned(),
            "BatchMode=yes".to_owned(),
            "-o".to_owned(),
            format!("UserKnownHostsFile={}", self.known_hosts.display()),
            "-o".to_owned(),
            "GlobalKnownHostsFile=none".to_owned(),
            "-i".to_owned(),
            self.key.display().to_string(),
            "-p".to_owned(),
            address.port().to_string(),
            format!("tester@{}", address.ip()),
        ]);
        all
    }

    /// Runs `forward` with these arguments to its end.
    pub async fn run(&self, before: &[&str]) -> Ended {
        let arguments = self.arguments(before);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        run(self.home(), &arguments).await
    }

    /// Starts `forward` with these arguments and this standard output.
    pub fn start_with_stdout(&self, before: &[&str], stdout: Stdio) -> Running {
        let arguments = self.arguments(before);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut program = program(self.home(), &arguments);
        program.stdout(stdout);
        Running::spawned(program)
    }

    /// Starts `forward` with these arguments.
    pub fn start(&self, before: &[&str]) -> Running {
        let arguments = self.arguments(before);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Running::start(self.home(), &arguments)
    }
}
