//! What is wrong with the file, with its lines.

use std::path::Path;

/// The problems of one file.
pub(super) struct Problems<'a> {
    file: &'a Path,
    text: &'a str,
    found: Vec<(usize, String)>,
}

impl<'a> Problems<'a> {
    pub(super) fn of(file: &'a Path, text: &'a str) -> Self {
        Self {
            file,
            text,
            found: Vec::new(),
        }
    }

    /// Adds a problem at a byte of the file. `place` is the table, and the key.
    pub(super) fn add(&mut self, at: usize, place: &str, text: impl AsRef<str>) {
        let line = self.line(at);
        let text = text.as_ref();
        let file = self.file.display();
        self.found.push((
            line,
            match place {
                "" => format!("{file}:{line}: {text}"),
                place => format!("{file}:{line}: {place}: {text}"),
            },
        ));
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
