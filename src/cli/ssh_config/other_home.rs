//! Two homes: `ssh` finds its configuration in the home of the account, whatever `HOME` says, and ferryline its keys
//! and known hosts where `HOME` says, as other programs do.

use std::path::Path;

use super::tokens::home;

/// Warns where the two differ, and that decides which file is read.
pub(super) fn warn() {
    if let (Some(home), Some(account)) = (home(), of_account())
        && let Some(text) = differing(&home, &account)
    {
        tracing::warn!("{text}");
    }
}

/// The home of the account (passwd(5)).
#[cfg(unix)]
fn of_account() -> Option<std::path::PathBuf> {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid());
    Some(user.ok()??.dir)
}

/// No other system has two.
#[cfg(not(unix))]
fn of_account() -> Option<std::path::PathBuf> {
    None
}

fn differing(home: &Path, account: &Path) -> Option<String> {
    let config = |home: &Path| home.join(".ssh/config");
    if home == account || !(config(home).exists() || config(account).exists()) {
        return None;
    }
    Some(format!(
        "HOME is {home}, and the home of this account is {account}: the ssh configuration is {of_account}, as for \
         ssh itself, and keys and known hosts are those of {home}/.ssh; -F {of_home} reads that file",
        home = home.display(),
        account = account.display(),
        of_account = config(account).display(),
        of_home = config(home).display(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_homes_are_told_where_one_has_a_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        std::fs::create_dir_all(one.join(".ssh")).unwrap();
        assert_eq!(differing(&one, &other), None);
        std::fs::write(one.join(".ssh/config"), "").unwrap();
        assert_eq!(differing(&one, &one), None);
        for (home, account) in [(&one, &other), (&other, &one)] {
            let told = differing(home, account).unwrap();
            let read = format!("configuration is {}/.ssh/config,", account.display());
            assert!(told.contains(&read), "{told}");
        }
    }
}
