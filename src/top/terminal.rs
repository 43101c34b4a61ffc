//! The terminal: the screen, and the keys.

use std::{
    io::{self, Read, Write},
    thread,
};

use nix::sys::termios::{
    LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr,
};
use tokio::sync::mpsc;

use crate::paint::for_locale;

/// A key, by what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Down,
    Up,
    /// `k`: end the session that is chosen.
    End,
    Quit,
    Yes,
    Other,
}

/// The terminal while it is drawn on. Dropping this gives it back as it was.
pub(super) struct Terminal {
    before: Termios,
    keys: mpsc::UnboundedReceiver<Key>,
}

/// Another screen beside that of the shell, without a cursor; and back (xterm's control sequences).
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

impl Terminal {
    pub(super) fn start() -> io::Result<Self> {
        let stdin = io::stdin();
        let before = tcgetattr(&stdin)?;
        let mut single = before.clone();
        // Each key at once and unseen; Ctrl-C is a signal as ever.
        single
            .local_flags
            .remove(LocalFlags::ICANON | LocalFlags::ECHO);
        let (at_least, wait) = (
            SpecialCharacterIndices::VMIN as usize,
            SpecialCharacterIndices::VTIME as usize,
        );
        if let Some(bytes) = single.control_chars.get_mut(at_least) {
            *bytes = 1;
        }
        if let Some(time) = single.control_chars.get_mut(wait) {
            *time = 0;
        }
        tcsetattr(&stdin, SetArg::TCSAFLUSH, &single)?;
        let (pressed, keys) = mpsc::unbounded_channel();
        let terminal = Self { before, keys };
        thread::Builder::new()
            .name("ferryline-keys".into())
            .spawn(move || read_keys(&pressed))?;
        write(ENTER)?;
        Ok(terminal)
    }

    /// The next key; `None`: there will be no more.
    pub(super) async fn key(&mut self) -> Option<Key> {
        self.keys.recv().await
    }

    /// Columns and rows.
    pub(super) fn size(&self) -> (usize, usize) {
        match terminal_size::terminal_size() {
            Some((width, height)) => (width.0.into(), height.0.into()),
            None => (80, 24),
        }
    }

    /// Draws these lines, as far as there is room.
    pub(super) fn draw(&self, lines: &[String], height: usize) -> io::Result<()> {
        // Each line is drawn over the one that is there, which flickers less than an empty screen.
        let mut text = "\x1b[H".to_owned();
        for (number, line) in lines.iter().take(height).enumerate() {
            if number > 0 {
                text.push('\n');
            }
            text.push_str(&for_locale(line));
            text.push_str("\x1b[K");
        }
        text.push_str("\x1b[J");
        write(&text)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Nothing more can be done about a terminal that is gone.
        let _ = write(LEAVE);
        let _ = tcsetattr(io::stdin(), SetArg::TCSAFLUSH, &self.before);
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// The thread that reads: it ends with the process, or with its reader.
fn read_keys(pressed: &mpsc::UnboundedSender<Key>) {
    let mut stdin = io::stdin().lock();
    let mut bytes = [0; 16];
    while let Ok(read) = stdin.read(&mut bytes) {
        let Some(came) = bytes.get(..read).filter(|came| !came.is_empty()) else {
            return;
        };
        if keys(came).into_iter().any(|key| pressed.send(key).is_err()) {
            return;
        }
    }
}

/// The keys that these bytes stand for. A key that sends several bytes sends them at once.
fn keys(mut bytes: &[u8]) -> Vec<Key> {
    let mut found = Vec::new();
    while let Some((first, rest)) = bytes.split_first() {
        let (key, left) = match bytes {
            [0x1b, b'[' | b'O', b'A', left @ ..] => (Key::Up, left),
            [0x1b, b'[' | b'O', b'B', left @ ..] => (Key::Down, left),
            [0x1b, ..] => (Key::Other, &[][..]),
            _ => (
                match first {
                    b'j' | b'n' => Key::Down,
                    b'p' => Key::Up,
                    b'k' => Key::End,
                    b'q' => Key::Quit,
                    b'y' => Key::Yes,
                    _ => Key::Other,
                },
                rest,
            ),
        };
        found.push(key);
        bytes = left;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_known_by_their_bytes() {
        assert_eq!(keys(b"\x1b[A\x1b[B"), [Key::Up, Key::Down]);
        assert_eq!(keys(b"\x1bOB"), [Key::Down]);
        assert_eq!(
            keys(b"npkqy"),
            [Key::Down, Key::Up, Key::End, Key::Quit, Key::Yes]
        );
        // What else a terminal sends is no answer to a question.
        assert_eq!(keys(b"\x1b[200~y"), [Key::Other]);
        assert_eq!(keys(b"x"), [Key::Other]);
    }
}
