//! The options of the command line (`-o`).

use super::{
    super::Failure,
    apply::{HONOURED, one},
    unrelated::{Verdict, verdict},
    values::{canonical, split},
};
use crate::ssh::Settings;

/// One `-o`, known to be honoured.
#[derive(Clone, Debug)]
pub(in crate::cli) struct GivenOption {
    /// The option as typed.
    pub(super) text: String,
    /// The keyword in lower case, by its present name.
    pub(super) keyword: String,
    pub(super) value: String,
}

impl GivenOption {
    /// Reads `Keyword=value` or `Keyword value`. `None`: it concerns what ferryline does not do, and is
    /// passed over. Another keyword that ferryline does not honour, or a value that it cannot read, is an
    /// error.
    pub(in crate::cli) fn parse(text: &str) -> Result<Option<Self>, Failure> {
        let (typed, value) = split(text)
            .ok_or_else(|| Failure::Usage(format!("bad -o '{text}': expected Keyword=value")))?;
        let keyword = canonical(typed);
        let mut scratch = Settings::new("", 22, "");
        match one(&keyword, value, &mut scratch) {
            Ok(true) => Ok(Some(Self {
                text: text.to_owned(),
                keyword,
                value: value.to_owned(),
            })),
            Ok(false) => match verdict(&keyword, value) {
                Verdict::Accepted => Ok(None),
                Verdict::Warned(why) => {
                    tracing::warn!("-o {typed} has no effect: {why}");
                    Ok(None)
                }
                Verdict::Refused(instead) => Err(Failure::Usage(format!(
                    "-o {typed} is not supported: {instead}"
                ))),
                Verdict::Unknown => Err(Failure::Usage(format!(
                    "-o {typed} is not honoured by ferryline (honoured are {})",
                    HONOURED.join(", ")
                ))),
            },
            Err(expected) => Err(Failure::Usage(format!(
                "bad -o '{text}': expected {typed}={expected}"
            ))),
        }
    }
}
