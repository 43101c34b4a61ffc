//! How a connection logged in, step by step.

use russh::{
    MethodSet,
    keys::{HashAlg, PublicKey},
};

use super::credential::{Credential, Holder};
use crate::ssh::{
    error::{Error, escaped},
    prompt::Secret,
    settings::Settings,
};

/// How the first connection logged in, step by step (a server may want several steps): enough to log further
/// connections in.
#[derive(Clone)]
pub(crate) struct Login {
    pub(super) steps: Vec<Step>,
}

impl Login {
    /// Whether it can be repeated any number of times. A wrong password counts against its user.
    pub(crate) fn is_by_keys(&self) -> bool {
        let by_key = |step: &Step| matches!(step, Step::Key(_) | Step::None);
        self.steps.iter().all(by_key)
    }

    /// The fingerprint of the last key that was a step. (A certificate's is that of its key, as in sshd's log.)
    pub(crate) fn key_fingerprint(&self) -> Option<String> {
        let mut keys = self.steps.iter().rev();
        keys.find_map(|step| match step {
            Step::Key(credential) => Some(match &credential.holder {
                Holder::Agent(identity) => identity.public_key().fingerprint(HashAlg::Sha256),
                Holder::File(key) => key.public_key().fingerprint(HashAlg::Sha256),
            }),
            Step::Interactive(_) | Step::None | Step::Password(_) | Step::Unrepeatable => None,
        })
        .map(|fingerprint| fingerprint.to_string())
    }

    /// The steps in words, without their secrets.
    pub(crate) fn describe(&self) -> Vec<String> {
        let described = self.steps.iter().map(|step| match step {
            Step::Interactive(_) | Step::Unrepeatable => "keyboard-interactive".to_owned(),
            Step::Key(credential) => {
                let certified = match &credential.certificate {
                    Some(_) => "a certificate for ",
                    None => "",
                };
                match &credential.holder {
                    Holder::Agent(identity) => format!(
                        "publickey, {certified}the agent's {}",
                        described(&identity.public_key())
                    ),
                    Holder::File(key) => {
                        format!("publickey, {certified}{}", described(key.public_key()))
                    }
                }
            }
            Step::None => "none: the server asks for nothing".to_owned(),
            Step::Password(_) => "password".to_owned(),
        });
        described.collect()
    }
}

#[derive(Clone)]
pub(crate) enum Step {
    /// The one hidden question of a keyboard-interactive exchange.
    Interactive(Secret),
    /// A key or certificate, of the agent or from a file.
    Key(Credential),
    /// The server asked for nothing.
    None,
    /// A password.
    Password(Secret),
    /// Several questions, or shown ones: a one-time password as a rule.
    Unrepeatable,
}

/// A key as ssh describes it: algorithm, fingerprint, comment.
fn described(key: &PublicKey) -> String {
    let fingerprint = key.fingerprint(HashAlg::Sha256);
    let comment = escaped(key.comment().as_str_lossy());
    let described = format!("{} {fingerprint} {comment}", key.algorithm());
    described.trim_end().to_owned()
}

pub(crate) fn ended(settings: &Settings) -> Error {
    Error::Handshake {
        host: settings.host.clone(),
        port: settings.port,
        reason: "it hung up before the log-in".to_owned(),
    }
}

pub(crate) fn names(methods: &MethodSet) -> String {
    let names: Vec<&str> = methods.iter().map(Into::into).collect();
    match names.as_slice() {
        [] => "nothing".to_owned(),
        names => names.join(", "),
    }
}

/// Number of times that a server may ask for one step more.
pub(crate) const MAX_STEPS: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_typed_is_not_tried_again_and_again() {
        let by_keys = |steps: Vec<Step>| Login { steps }.is_by_keys();
        assert!(by_keys(vec![Step::None]));
        for typed in [
            Step::Interactive("x".into()),
            Step::Password("x".into()),
            Step::Unrepeatable,
        ] {
            let login = Login {
                steps: vec![Step::None, typed],
            };
            assert!(!login.is_by_keys());
            assert_eq!(login.key_fingerprint(), None);
        }
    }
}
