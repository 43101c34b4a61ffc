//! What is wrong with the file, with its lines.

use std::path::Path;

/// The problems of one file.
pub(super) struct Problems<'a> {
    file: &'a Path,
    text: &'a str,
    found: Vec<(usize, String)>,
    /// What this process lacks and the service will have is not wrong.
    is_rehearsal: bool,
    warnings: Vec<String>,
}

impl<'a> Problems<'a> {
    pub(super) fn of(file: &'a Path, text: &'a str, is_rehearsal: bool) -> Self {
        Self {
            file,
            text,
            found: Vec::new(),
            is_rehearsal,
            warnings: Vec::new(),
        }
    }

    /// Adds what is missing in this process, and not in the file.
    pub(super) fn lacking(&mut self, at: usize, place: &str, text: impl AsRef<str>) {
        if self.is_rehearsal {
            let text = self.in_place(at, place, text.as_ref());
            self.warnings.push(text);
        } else {
            self.add(at, place, text);
        }
    }

    /// Adds a problem at a byte of the file. `place` is the table, and the key.
    pub(super) fn add(&mut self, at: usize, place: &str, text: impl AsRef<str>) {
        let text = self.in_place(at, place, text.as_ref());
        self.found.push((self.line(at), text));
    }

    fn in_place(&self, at: usize, place: &str, text: &str) -> String {
        let (file, line) = (self.file.display(), self.line(at));
        match place {
            "" => format!("{file}:{line}: {text}"),
            place => format!("{file}:{line}: {place}: {text}"),
        }
    }

    /// Takes what is worth a warning.
    pub(super) fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// The number of the line that has this byte.
    pub(super) fn line(&self, at: usize) -> usize {
        let before = self.text.as_bytes().iter().take(at);
        1 + before.filter(|&&byte| byte == b'\n').count()
    }

    /// Number of problems so far.
    pub(super) fn number(&self) -> usize {
        self.found.len()
    }

    /// The name of the file.
    pub(super) fn file(&self) -> String {
        self.file.display().to_string()
    }

    pub(super) fn are_none(&self) -> bool {
        self.found.is_empty()
    }

    /// The problems, each a line, in the order of the file.
    pub(super) fn into_lines(mut self) -> Vec<String> {
        self.found.sort_by_key(|(line, _)| *line);
        self.found.into_iter().map(|(_, text)| text).collect()
    }
}
