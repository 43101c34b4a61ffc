//! A further log-in: the same steps again, and no person is asked a second time.

use russh::{
    MethodSet,
    client::{AuthResult, Handle, KeyboardInteractiveAuthResponse},
};

use super::{
    credential::Holder,
    interactive::finished,
    login::{Login, MAX_STEPS, Step, ended, names},
};
use crate::ssh::{connection::events::Events, error::Error, prompt::Secret, settings::Settings};

/// Logs in again, with what let the first connection in and nothing else.
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
                    // The refusal is not the server's.
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

/// A keyboard-interactive exchange in which the only hidden question gets the answer that was right before.
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
