//! The names of transcripts' files.

use time::OffsetDateTime;

/// The name `DATE-TIME-USER-SERVER-PROCESS-SESSION.session`, in UTC: in order of time, and never the name of
/// another.
pub fn file_name(since: OffsetDateTime, user: &str, server: &str, session: u64) -> String {
    let plain = |text: &str| -> String {
        let letters = text.chars().take(NAMED);
        letters
            .map(|letter| match letter {
                'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' | '@' => letter,
                _ => '_',
            })
            .collect()
    };
    format!(
        "{:04}{:02}{:02}-{:02}{:02}{:02}.{:03}-{}-{}-{}-{session:06}.session",
        since.year(),
        u8::from(since.month()),
        since.day(),
        since.hour(),
        since.minute(),
        since.second(),
        since.millisecond(),
        plain(user),
        plain(server),
        std::process::id()
    )
}

/// Number of letters of a user and of a server in the name of a file.
const NAMED: usize = 40;

/// The number of the process that gave a file this name; `None`: it is not the name of a transcript.
pub(super) fn process_of(name: &str) -> Option<u32> {
    let name = name.strip_suffix(".session")?;
    let digits = |text: &str, count: usize| {
        text.len() >= count && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let (date, rest) = name.split_once('-')?;
    let (time, rest) = rest.split_once('-')?;
    let (rest, session) = rest.rsplit_once('-')?;
    let (_, process) = rest.rsplit_once('-')?;
    let (second, fraction) = time.split_once('.')?;
    let named = digits(date, 8) && digits(second, 6) && digits(fraction, 3) && digits(session, 6);
    process.parse().ok().filter(|_| named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_by_date_user_and_server_and_by_nothing_that_leads_elsewhere() {
        let since = OffsetDateTime::from_unix_timestamp(1_795_960_501).unwrap();
        let name = file_name(since, "../me\n", "[::1]:21", 3);
        let expected = format!(
            "20261129-135501.000-.._me_-___1__21-{}-000003.session",
            std::process::id()
        );
        assert_eq!(name, expected);
        assert!(file_name(since, &"x".repeat(5000), "s", 1).len() < 150);
        assert_eq!(process_of(&name), Some(std::process::id()));
    }

    #[test]
    fn only_what_is_named_so_is_a_transcript_of_some_process() {
        assert_eq!(
            process_of("20261129-135501.000-me-a-b_21-4711-000003.session"),
            Some(4711)
        );
        for name in [
            "",
            "my-notes.session",
            "2025-thesis.session",
            "20261129-135501-me-host-4711-000003.session",
            "20261129-135501.000-me-host-4711-000003.txt",
            "20261129-135501.000-me-host-x-000003.session",
            "20261129-135501.000-me-host-4711-3.session",
            "q80-ftps.session",
        ] {
            assert_eq!(process_of(name), None, "{name}");
        }
    }
}
