//! Logging in: keys and certificates, passwords; and doing the same again for further
//! connections without asking anybody a second time.

use std::sync::Arc;

use russh::MethodSet;
use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse};
use russh::keys::{Algorithm, HashAlg, PublicKey};

use super::attempt::Attempt;
use super::credential::{Credential, Holder};
use crate::ssh::algorithms::allows_signatures;
use crate::ssh::connection::events::Events;
use crate::ssh::connection::handle::Shared;
use crate::ssh::error::{Error, escaped};
use crate::ssh::prompt::{Patience, Prompt, Secret};
use crate::ssh::settings::Settings;

/// How the first connection was let in, step by step (a server may want several): enough to let
/// further connections in.
#[derive(Clone)]
pub(crate) struct Login {
    steps: Vec<Step>,
}

impl Login {
    /// Whether it can be tried as often as one likes: a wrong password counts against its user.
    pub(crate) fn is_by_keys(&self) -> bool {
        let by_key = |step: &Step| matches!(step, Step::Key(_) | Step::None);
        self.steps.iter().all(by_key)
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

/// A key as ssh tells of it: algorithm, fingerprint, comment.
fn described(key: &PublicKey) -> String {
    let fingerprint = key.fingerprint(HashAlg::Sha256);
    let comment = escaped(key.comment().as_str_lossy());
    let described = format!("{} {fingerprint} {comment}", key.algorithm());
    described.trim_end().to_owned()
}

/// The first log-in: tries what there is, asking where it must.
pub(crate) async fn first(
    handle: &mut Handle<Events>,
    settings: &Settings,
    prompt: &Arc<dyn Prompt>,
    patience: &Patience,
    shared: &Shared,
) -> Result<Login, Error> {
    let attempt = Attempt::new(handle, settings, prompt, patience, shared);
    let steps = attempt.run().await?;
    Ok(Login { steps })
}

/// A further log-in, with what let the first one in and nothing else.
pub(crate) async fn again(
    handle: &mut Handle<Events>,
    settings: &Settings,
    login: &Login,
) -> Result<(), Error> {
    let refused = |tried: &str, accepts: String| Error::LoginRefused {
        destination: settings.destination(),
        tried: tried.to_owned(),
        accepts,
        hint: String::new(),
    };
    let mut last = ("nothing", MethodSet::empty());
    for step in &login.steps {
        let user = settings.user.as_str();
        let (name, result) = match step {
            Step::None => ("none", handle.authenticate_none(user).await),
            Step::Key(credential) => {
                let name = match credential.holder {
                    Holder::Agent(_) => "the same key of the agent",
                    Holder::File(_) => "the same key",
                };
                let result = credential.offer(handle, settings, &mut None).await;
                match result {
                    // It is not the server that refused.
                    Err(_) if !handle.is_closed() => {
                        return Err(refused("the agent, which signs no more", String::new()));
                    }
                    result => (name, result.map_err(|_| russh::Error::RecvError)),
                }
            }
            Step::Password(password) => (
                "the same password",
                handle.authenticate_password(user, password.expose()).await,
            ),
            Step::Interactive(password) => {
                let result = interactive_once(handle, user, password).await;
                ("the same password", result)
            }
            Step::Unrepeatable => {
                return Err(refused(
                    "nothing: its answers cannot be repeated",
                    String::new(),
                ));
            }
        };
        match result {
            Ok(AuthResult::Success) => return Ok(()),
            Ok(AuthResult::Failure {
                remaining_methods,
                partial_success,
            }) => {
                if handle.is_closed() {
                    return Err(ended(settings));
                }
                if !partial_success {
                    return Err(refused(name, names(&remaining_methods)));
                }
                last = (name, remaining_methods);
            }
            Err(_) => return Err(ended(settings)),
        }
    }
    Err(refused(last.0, names(&last.1)))
}

/// The hash for signatures with an RSA key; `None` is SHA-1. A server that does not say what it takes
/// is given SHA-512: one that only knows SHA-1 is older than 2016, and is given that only where
/// somebody allowed it.
pub(crate) async fn best_rsa_hash(handle: &Handle<Events>, settings: &Settings) -> Option<HashAlg> {
    let sha1 = allows_signatures(settings, &Algorithm::Rsa { hash: None });
    match handle.best_supported_rsa_hash().await {
        Ok(Some(None)) | Ok(None) | Err(_) if sha1 => None,
        Ok(Some(Some(hash))) => Some(hash),
        Ok(Some(None)) | Ok(None) | Err(_) => Some(HashAlg::Sha512),
    }
}

/// A keyboard-interactive exchange in which the one hidden question gets the answer that was right
/// before.
async fn interactive_once(
    handle: &mut Handle<Events>,
    user: &str,
    password: &Secret,
) -> Result<AuthResult, russh::Error> {
    let mut reply = handle
        .authenticate_keyboard_interactive_start(user, None)
        .await?;
    let mut given = false;
    for _ in 0..MAX_STEPS {
        let KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } = &reply else {
            break;
        };
        let answers = match prompts.as_slice() {
            [] => Vec::new(),
            [one] if !one.echo && !given => {
                given = true;
                vec![password.expose().to_owned()]
            }
            _ => break,
        };
        reply = handle
            .authenticate_keyboard_interactive_respond(answers)
            .await?;
    }
    finished(Ok(reply)).map_err(|()| russh::Error::RecvError)
}

pub(crate) fn finished(
    reply: Result<KeyboardInteractiveAuthResponse, russh::Error>,
) -> Result<AuthResult, ()> {
    match reply {
        Ok(KeyboardInteractiveAuthResponse::Success) => Ok(AuthResult::Success),
        Ok(KeyboardInteractiveAuthResponse::Failure {
            remaining_methods,
            partial_success,
        }) => Ok(AuthResult::Failure {
            remaining_methods,
            partial_success,
        }),
        // More questions than one: not answered.
        Ok(KeyboardInteractiveAuthResponse::InfoRequest { .. }) => Ok(AuthResult::Failure {
            remaining_methods: MethodSet::empty(),
            partial_success: false,
        }),
        Err(_) => Err(()),
    }
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

/// So many times a server may ask for one thing more.
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
            assert!(!by_keys(vec![Step::None, typed]));
        }
    }
}
