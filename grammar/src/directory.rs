//! The directory in a 257 (RFC 959 Appendix II): a path in quotation marks, and a mark within it doubled.

/// Reads the path in the text of a 257, without the marks. `None` where there is none: some servers name the
/// directory in other words.
pub fn quoted_directory(line: &[u8]) -> Option<Vec<u8>> {
    let begin = line.iter().position(|byte| *byte == b'"')?;
    let mut path = Vec::new();
    let mut rest = line.get(begin + 1..)?;
    loop {
        match rest {
            [b'"', b'"', after @ ..] => {
                path.push(b'"');
                rest = after;
            }
            [b'"', ..] => return Some(path),
            [byte, after @ ..] => {
                path.push(*byte);
                rest = after;
            }
            [] => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stands_in_marks_and_a_mark_in_it_is_doubled() {
        for (line, path) in [
            ("257 \"/a b\" is the current directory", Some("/a b")),
            ("257 \"/say \"\"hi\"\"\"", Some("/say \"hi\"")),
            ("257 \"\"", Some("")),
            ("257 /a is it", None),
            ("257 \"/a", None),
            ("", None),
        ] {
            let found = quoted_directory(line.as_bytes());
            assert_eq!(found.as_deref(), path.map(str::as_bytes), "{line}");
        }
    }
}
