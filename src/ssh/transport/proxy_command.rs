//! `ProxyCommand`: a command whose standard input and output lead to the SSH server.

use std::{
    io,
    pin::Pin,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, BufReader, ReadBuf},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    sync::watch,
    time::timeout,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::stream::Duplex;
use crate::{lock::lock, ssh::error::escaped};

/// Starts a command line the way ssh does: with the user's shell, which the command then replaces. What the
/// command writes to standard error goes to the log. It ends with the stream, at the latest a second later.
///
/// In the `foreground` the command can ask for a password on the terminal, so Ctrl-C ends it together with
/// ferryline. Elsewhere it cannot ask (the kernel stops it, and it ends with its stream), nor change how the
/// terminal works.
///
/// # Errors
///
/// There is no shell, or no process could be made.
pub(crate) fn start(line: &str, foreground: bool) -> io::Result<(Box<dyn Duplex>, ProxyCommand)> {
    let mut command = shell(line);
    if !foreground {
        keep_from_asking(&mut command);
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let missing = || io::Error::other("it has no standard input or output");
    let stdin = child.stdin.take().ok_or_else(missing)?;
    let stdout = child.stdout.take().ok_or_else(missing)?;
    let last_words = Arc::<Mutex<String>>::default();
    let done = CancellationToken::new();
    let (ended, status) = watch::channel(None);
    let listening = child.stderr.take().map(|stderr| {
        let listening = listen(stderr, program(line), Arc::clone(&last_words));
        tokio::spawn(listening)
    });
    tokio::spawn(supervise(child, done.clone(), listening, ended));
    let stream = Joined {
        stdin,
        stdout,
        _done: done.drop_guard(),
    };
    let command = ProxyCommand {
        program: program(line),
        status,
        last_words,
    };
    Ok((Box::new(stream), command))
}

/// The first word of a command line: enough to recognize it, without the secrets that may follow.
pub(crate) fn program(line: &str) -> String {
    escaped(line.split_whitespace().next().unwrap_or_default())
}

/// A command that was started.
pub(crate) struct ProxyCommand {
    program: String,
    status: watch::Receiver<Option<ExitStatus>>,
    last_words: Arc<Mutex<String>>,
}

impl ProxyCommand {
    pub(crate) fn program(&self) -> &str {
        &self.program
    }

    /// How it ended, if it has; waits a moment for that.
    pub(crate) async fn why_ended(&mut self) -> Option<String> {
        let ended = timeout(MOMENT, self.status.wait_for(Option::is_some)).await;
        let status = (*ended.ok()?.ok()?)?;
        let said = lock(&self.last_words).clone();
        Some(match said.is_empty() {
            true => format!("ended ({status})"),
            false => format!("ended ({status}): {said}"),
        })
    }
}

#[cfg(unix)]
fn shell(line: &str) -> Command {
    let shell = std::env::var_os("SHELL").filter(|shell| !shell.is_empty());
    let mut command = Command::new(shell.unwrap_or_else(|| "/bin/sh".into()));
    command.arg("-c").arg(format!("exec {line}"));
    command
}

#[cfg(unix)]
fn keep_from_asking(command: &mut Command) {
    command.process_group(0).env("SSH_ASKPASS_REQUIRE", "never");
}

#[cfg(not(unix))]
fn keep_from_asking(command: &mut Command) {
    command.env("SSH_ASKPASS_REQUIRE", "never");
}

#[cfg(not(unix))]
fn shell(line: &str) -> Command {
    let mut command = Command::new("cmd");
    command.arg("/C").arg(line);
    command
}

/// Waits for the end of the command, and brings it about once its stream is dropped.
async fn supervise(
    mut child: Child,
    done: CancellationToken,
    listening: Option<tokio::task::JoinHandle<()>>,
    ended: watch::Sender<Option<ExitStatus>>,
) {
    let status = tokio::select! {
        status = child.wait() => status,
        () = done.cancelled() => match timeout(GRACE, child.wait()).await {
            Ok(status) => status,
            Err(_) => {
                let _ = child.start_kill();
                child.wait().await
            }
        }
    };
    // Its last output may still be in the pipe. A child of its own may hold the pipe open for long.
    if let Some(listening) = listening {
        let _ = timeout(MOMENT / 2, listening).await;
    }
    ended.send_replace(status.ok());
}

async fn listen(stderr: ChildStderr, program: String, last_words: Arc<Mutex<String>>) {
    let mut stderr = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut some = (&mut stderr).take(LONGEST_LINE);
        match some.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = escaped(&String::from_utf8_lossy(&line));
        if !text.is_empty() {
            tracing::warn!("ProxyCommand {program}: {text}");
            *lock(&last_words) = text;
        }
    }
}

/// The two pipes as one stream.
struct Joined {
    stdin: ChildStdin,
    stdout: ChildStdout,
    _done: DropGuard,
}

impl AsyncRead for Joined {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdout).poll_read(cx, buf)
    }
}

impl AsyncWrite for Joined {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stdin).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_shutdown(cx)
    }
}

const MOMENT: Duration = Duration::from_millis(500);
/// Time for the command to end by itself, as it does as a rule: its pipes are closed by then.
const GRACE: Duration = Duration::from_secs(1);
const LONGEST_LINE: u64 = 4096;

#[cfg(all(test, unix))]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn bytes_go_through_and_the_command_ends_with_the_stream() {
        let (mut stream, mut command) = start("cat", true).unwrap();
        stream.write_all(b"there and back").await.unwrap();
        let mut back = [0; 14];
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"there and back");
        assert_eq!(command.why_ended().await, None);
        drop(stream);
        command.status.wait_for(Option::is_some).await.unwrap();
    }

    #[tokio::test]
    async fn one_that_ignores_the_end_of_its_pipes_is_killed() {
        let (stream, mut command) = start("sleep 600", false).unwrap();
        drop(stream);
        let status = *command.status.wait_for(Option::is_some).await.unwrap();
        assert!(!status.unwrap().success());
    }

    #[tokio::test]
    async fn how_it_ended_and_what_it_said_is_told() {
        let (mut stream, mut command) = start("sh -c 'echo no route >&2; exit 3'", true).unwrap();
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
        let why = command.why_ended().await.unwrap();
        assert_eq!(why, "ended (exit status: 3): no route");
        assert_eq!(command.program(), "sh");
    }
}
