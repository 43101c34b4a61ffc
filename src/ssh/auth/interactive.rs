//! The method keyboard-interactive (RFC 4256): the server's questions, put to a person.

use russh::{
    MethodSet,
    client::{AuthResult, Handle, KeyboardInteractiveAuthResponse},
};

use crate::ssh::{connection::events::Events, error::escaped, prompt::Secret};

/// How one exchange ended.
pub(super) enum Exchange {
    /// A question was not answered, or there were too many. russh now waits for the answers, so this
    /// connection is of no further use.
    Abandoned(&'static str),
    /// The server has decided.
    Judged(Result<AuthResult, ()>, Vec<Answer>),
}

/// An answer that was given.
pub(super) struct Answer {
    pub(super) text: Secret,
    /// Whether it was shown while it was typed.
    pub(super) shown: bool,
}

/// A question for a person.
pub(super) struct Question {
    pub(super) text: String,
    pub(super) shown: bool,
}

/// Goes through all rounds of questions of one exchange.
pub(super) async fn exchange<F: Future<Output = Option<Secret>>>(
    handle: &mut Handle<Events>,
    user: &str,
    destination: &str,
    mut ask: impl FnMut(Question) -> F,
) -> Exchange {
    let mut reply = handle
        .authenticate_keyboard_interactive_start(user, None)
        .await;
    let mut answered: Vec<Answer> = Vec::new();
    for _ in 0..MAX_ROUNDS {
        let (name, instructions, prompts) = match reply {
            Ok(KeyboardInteractiveAuthResponse::InfoRequest {
                name,
                instructions,
                prompts,
            }) => (name, instructions, prompts),
            judged => return Exchange::Judged(finished(judged), answered),
        };
        let mut said: String = [name, instructions]
            .iter()
            .flat_map(|text| text.lines())
            .take(MAX_LINES)
            .map(|line| format!("{}\n", escaped(line)))
            .collect();
        if prompts.is_empty() && !said.trim().is_empty() {
            tracing::info!("the SSH server says: {}", escaped(&said));
        }
        let mut answers = Vec::new();
        for prompt in prompts {
            if answered.len() >= MAX_QUESTIONS {
                return Exchange::Abandoned("it asks too many questions");
            }
            let asked = escaped(&prompt.prompt);
            let question = Question {
                text: format!("{said}({destination}) {asked} "),
                shown: prompt.echo,
            };
            // Shown once, above the first question.
            said.clear();
            let Some(text) = ask(question).await else {
                return Exchange::Abandoned("no answer given");
            };
            answers.push(text.expose().to_owned());
            answered.push(Answer {
                text,
                shown: prompt.echo,
            });
        }
        reply = handle
            .authenticate_keyboard_interactive_respond(answers)
            .await;
    }
    match reply {
        Ok(KeyboardInteractiveAuthResponse::InfoRequest { .. }) => {
            Exchange::Abandoned("it asks too many times")
        }
        judged => Exchange::Judged(finished(judged), answered),
    }
}

pub(super) fn finished(
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

const MAX_ROUNDS: usize = 10;
const MAX_QUESTIONS: usize = 20;
const MAX_LINES: usize = 20;
