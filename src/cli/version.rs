//! What `--version` tells.

use std::sync::OnceLock;

/// The version, with the commit of a release build and the features.
pub(super) fn text() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        let features: &[&str] = if cfg!(feature = "demo") {
            &["demo"]
        } else {
            &[]
        };
        let source = match option_env!("FERRYLINE_COMMIT") {
            Some(commit) => Some(format!("commit {commit}")),
            None => cfg!(debug_assertions).then(|| "debug build".to_owned()),
        };
        composed(env!("CARGO_PKG_VERSION"), source.as_deref(), features)
    })
}

fn composed(number: &str, source: Option<&str>, features: &[&str]) -> String {
    let source = source.map_or(String::new(), |source| format!("{source}; "));
    let features = match features {
        [] => "no features".to_owned(),
        some => format!("features: {}", some.join(", ")),
    };
    format!("{number} ({source}{features})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_left_out() {
        assert_eq!(
            composed("1.2.3", Some("commit abc"), &["demo"]),
            "1.2.3 (commit abc; features: demo)"
        );
        assert_eq!(composed("1.2.3", None, &[]), "1.2.3 (no features)");
    }
}
