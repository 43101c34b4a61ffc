//! Commands and the addresses in them: nothing is lost in taking one apart, what is rendered is
//! read back, and what is secret shows nowhere.

use ferryline_grammar::{Command, EpsvArgument, ExtendedAddress, HostPort, Line, Verb, masked};

/// The input is a command without its end; any byte may be in it.
pub fn run(data: &[u8]) {
    addresses(data);
    if let Some(command) = Command::parse(data) {
        taken_apart(data, &command);
        addresses(command.argument);
    }
    nothing_secret(data);
}

fn taken_apart(text: &[u8], command: &Command<'_>) {
    assert!(!command.keyword.is_empty());
    let mut rest = text;
    while let [0 | b'\t'..=b'\r' | b' ' | 0xff, more @ ..] | [0xef, 0xbb, 0xbf, more @ ..] = rest {
        rest = more;
    }
    let junk = text.len() - rest.len();
    assert!(text.ends_with(command.argument) && text[junk..].starts_with(command.keyword));
    let between = &text[junk + command.keyword.len()..text.len() - command.argument.len()];
    assert!(matches!(between, [] | [_] | [b'\r', 0]));
    // Neither what stands before the verb nor its case changes what it is.
    let again = [
        b" \xff\xef\xbb\xbf",
        &command.keyword.to_ascii_lowercase()[..],
    ]
    .concat();
    assert_eq!(Command::parse(&again).unwrap().verb, command.verb);
    if command.verb != Verb::Other {
        assert!(command.keyword.is_ascii());
    }
}

fn addresses(argument: &[u8]) {
    if let Some(read) = HostPort::parse(argument) {
        assert_eq!(HostPort::parse(read.to_string().as_bytes()), Some(read));
        assert_eq!(EpsvArgument::parse(argument), EpsvArgument::Other);
    }
    if let Ok(read) = ExtendedAddress::parse(argument) {
        assert_eq!(
            ExtendedAddress::parse(read.to_string().as_bytes()),
            Ok(read)
        );
        assert_eq!(HostPort::parse(argument), None);
    }
    if let EpsvArgument::Family(family) = EpsvArgument::parse(argument) {
        let plain = family.to_string();
        assert_eq!(
            EpsvArgument::parse(plain.as_bytes()),
            EpsvArgument::Family(family)
        );
    }
}

/// Behind a bare CR some servers begin a new command: what each of these would keep secret.
fn nothing_secret(text: &[u8]) {
    let shown = masked(text);
    assert_eq!(masked(&shown), shown, "masked twice");
    let mut secret = false;
    for part in text.split(|byte| *byte == b'\r') {
        let part = part.strip_prefix(b"\0").unwrap_or(part);
        secret |= Command::parse(part).is_some_and(|command| command.verb.carries_secret());
    }
    if secret {
        assert!(shown.ends_with(b"****"), "{}", shown.escape_ascii());
    }
    if !text.contains(&b'\n') {
        let debug = format!("{:?}", Line::new(text.to_vec()));
        assert!(debug.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        if secret {
            assert!(debug.contains("****"), "{debug}");
        }
    }
}
