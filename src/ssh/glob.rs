//! Patterns with `*` and `?`, as `known_hosts` and `ssh_config` have them.

/// Matches a pattern: `*` stands for any characters, `?` for one. Linear in memory, and at worst quadratic in
/// time.
pub(crate) fn glob(pattern: &str, name: &str) -> bool {
    let (mut pattern, mut name) = (pattern.as_bytes(), name.as_bytes());
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => return true,
            (Some((b'*', rest)), _) => {
                pattern = rest;
                retry = Some((rest, name));
                continue;
            }
            (Some((p, p_rest)), Some((n, n_rest))) if *p == b'?' || p == n => {
                pattern = p_rest;
                name = n_rest;
                continue;
            }
            _ => {}
        }
        // A mismatch: let the last star take one more character.
        let Some((after_star, from)) = retry else {
            return false;
        };
        let Some((_, shorter)) = from.split_first() else {
            return false;
        };
        retry = Some((after_star, shorter));
        pattern = after_star;
        name = shorter;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_do_not_blow_up() {
        let started = std::time::Instant::now();
        assert!(!glob(&"*a".repeat(100), &"a".repeat(99)));
        assert!(glob(&"*a".repeat(100), &"a".repeat(100)));
        assert!(glob("**", ""));
        assert!(!glob("?", ""));
        assert!(started.elapsed() < std::time::Duration::from_secs(5));
    }
}
