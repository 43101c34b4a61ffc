//! The first log-in: tries what is available, in ssh's order, and asks a person where it must.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use russh::{
    MethodKind, MethodSet,
    client::{AuthResult, Handle},
    keys::{Certificate, PrivateKey, PublicKey, agent::AgentIdentity},
};
use tokio::time::timeout;

use super::{
    agent::Agent,
    candidates::{Candidate, Files, What},
    credential::{Credential, Holder, Probed, probe},
    interactive::{Exchange, Question, exchange},
    keys::LockedKey,
    login::{Login, MAX_STEPS, Step, ended, names},
};
use crate::ssh::{
    connection::{events::Events, shared::Shared},
    error::Error,
    prompt::{Patience, Prompt, Secret},
    settings::Settings,
};

/// Runs the first log-in: tries what is available, and asks a person where it must.
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

/// The first log-in under way.
pub(crate) struct Attempt<'a> {
    handle: &'a mut Handle<Events>,
    settings: &'a Settings,
    prompt: &'a Arc<dyn Prompt>,
    patience: &'a Patience,
    shared: &'a Shared,
    methods: MethodSet,
    steps: Vec<Step>,
    tried: Vec<String>,
    /// Keys and certificates that are left to try; `None`: not looked for yet.
    candidates: Option<VecDeque<Candidate>>,
    /// Keys and certificates that the server was shown.
    offered: Vec<(PublicKey, Option<Certificate>)>,
    agent: Option<Agent>,
    hints: Hints,
}

/// The basis of the advice in a refusal.
#[derive(Default)]
struct Hints {
    /// Number of keys that the agent offered.
    agent_keys: usize,
    /// A person was to be asked, and none was there.
    unanswered: bool,
    /// A password or an answer was wrong.
    wrong_password: bool,
    /// What would make a key usable that is not: that of the first one.
    key_remedy: Option<String>,
    /// Why the server hung up.
    hung_up: Option<String>,
}

/// The outcome of one try.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Progress {
    /// Logged in.
    In,
    /// Accepted, but the server wants more.
    Partly,
    /// Refused.
    Refused,
}

impl<'a> Attempt<'a> {
    pub(crate) fn new(
        handle: &'a mut Handle<Events>,
        settings: &'a Settings,
        prompt: &'a Arc<dyn Prompt>,
        patience: &'a Patience,
        shared: &'a Shared,
    ) -> Self {
        Self {
            handle,
            settings,
            prompt,
            patience,
            shared,
            methods: MethodSet::empty(),
            steps: Vec::new(),
            tried: Vec::new(),
            candidates: None,
            offered: Vec::new(),
            agent: None,
            hints: Hints::default(),
        }
    }

    /// Tries until the server accepts the log-in or nothing is left to try.
    pub(crate) async fn run(mut self) -> Result<Vec<Step>, Error> {
        let user = self.settings.user.clone();
        let asked = self.handle.authenticate_none(user).await;
        let mut progress = self
            .note_outcome(asked.map_err(|_| ()), || Step::None)
            .await?;
        // Each method is gone through once for each time the server asks for more.
        for _ in 0..MAX_STEPS {
            if progress == Progress::In {
                return Ok(self.steps);
            }
            progress = self.next_step().await?;
            if progress == Progress::Refused {
                break;
            }
        }
        match progress {
            Progress::In => Ok(self.steps),
            Progress::Partly | Progress::Refused => Err(self.refused()),
        }
    }

    /// Goes through the methods until one of them makes progress.
    async fn next_step(&mut self) -> Result<Progress, Error> {
        for method in self.order() {
            if !self.methods.contains(&method) {
                continue;
            }
            let progress = match method {
                MethodKind::PublicKey => self.keys().await?,
                _ if self.settings.batch_mode => Progress::Refused,
                MethodKind::KeyboardInteractive => self.interactive().await?,
                MethodKind::Password => self.password().await?,
                _ => Progress::Refused,
            };
            if progress != Progress::Refused {
                return Ok(progress);
            }
        }
        Ok(Progress::Refused)
    }

    /// The methods that may be used.
    fn order(&self) -> Vec<MethodKind> {
        let settings = self.settings;
        let preferred = settings.preferred_authentications.as_deref();
        let order: Vec<_> = match preferred {
            None => ORDER.to_vec(),
            Some(names) => {
                let known = |name: &String| ORDER.into_iter().find(|m| <&str>::from(m) == name);
                names.iter().filter_map(known).collect()
            }
        };
        let is_allowed = |method: &MethodKind| match method {
            MethodKind::PublicKey => settings.pubkey_authentication,
            MethodKind::KeyboardInteractive => settings.kbd_interactive_authentication,
            _ => settings.password_authentication,
        };
        order.into_iter().filter(is_allowed).collect()
    }

    async fn keys(&mut self) -> Result<Progress, Error> {
        let mut candidates = match self.candidates.take() {
            Some(left) => left,
            None => self.all_candidates().await,
        };
        let mut progress = Progress::Refused;
        while progress == Progress::Refused {
            let Some(Candidate { what, shown }) = candidates.pop_front() else {
                break;
            };
            progress = match what {
                What::Ready(credential) => self.offer(credential, shown).await?,
                What::Locked(key, certificate) => self.locked(&key, certificate, shown).await?,
                What::Unusable(remedy) => {
                    tracing::info!("not tried: {shown}");
                    self.hints.key_remedy = self.hints.key_remedy.take().or(remedy);
                    self.tried.push(shown);
                    Progress::Refused
                }
            };
        }
        self.candidates = Some(candidates);
        Ok(progress)
    }

    async fn all_candidates(&mut self) -> VecDeque<Candidate> {
        let held = self.held().await;
        let settings = self.settings.clone();
        let only = settings.identities_only;
        let read = tokio::task::spawn_blocking(move || {
            let all = Files::read(&settings).candidates(&held, only);
            all.into_iter()
                .map(|candidate| candidate.within(&settings))
                .collect()
        });
        read.await.unwrap_or_default()
    }

    /// The keys and certificates that the agent holds.
    async fn held(&mut self) -> Vec<AgentIdentity> {
        let Some(path) = &self.settings.agent else {
            return Vec::new();
        };
        match Agent::connect(path).await {
            Ok(mut agent) => {
                let held = agent.identities().await;
                self.agent = Some(agent);
                held
            }
            Err(error) => {
                let path = path.display();
                tracing::debug!(agent = %path, %error, "no agent");
                self.tried
                    .push(format!("the agent at {path} (not there: {error})"));
                Vec::new()
            }
        }
    }

    async fn offer(&mut self, credential: Credential, shown: String) -> Result<Progress, Error> {
        let key = match &credential.holder {
            Holder::Agent(identity) => identity.public_key().into_owned(),
            Holder::File(key) => key.public_key().clone(),
        };
        if !self.is_new(&key, credential.certificate.as_deref()) {
            return Ok(Progress::Refused);
        }
        let of_agent = matches!(credential.holder, Holder::Agent(_));
        self.hints.agent_keys += usize::from(of_agent);
        self.tried.push(shown);
        let result = credential
            .offer(self.handle, self.settings, &mut self.agent)
            .await;
        match result {
            // The agent would not sign; the key's file may still do.
            Err(_) if !self.handle.is_closed() => {
                if let Some(last) = self.tried.last_mut() {
                    last.push_str(" (it did not sign)");
                }
                Ok(Progress::Refused)
            }
            result => {
                let certificate = credential.certificate.as_deref().cloned();
                self.offered.push((key, certificate));
                self.note_outcome(result.map_err(|_| ()), || Step::Key(credential))
                    .await
            }
        }
    }

    /// Unlocks and offers a key. Asks for the passphrase only once the server has said that it would take the
    /// key.
    async fn locked(
        &mut self,
        locked: &Arc<LockedKey>,
        certificate: Option<Box<Certificate>>,
        shown: String,
    ) -> Result<Progress, Error> {
        if let Some(public) = locked.public_key().cloned() {
            if !self.is_new(&public, certificate.as_deref()) {
                return Ok(Progress::Refused);
            }
            let certified = certificate.as_deref();
            let probed = probe(self.handle, self.settings, public.clone(), certified).await;
            match probed {
                Err(Probed::Wanted) => {}
                Err(Probed::Ended) => return self.note_outcome(Err(()), || Step::None).await,
                Ok(result) => {
                    self.tried.push(shown);
                    self.offered.push((public, certificate.as_deref().cloned()));
                    return self.note_outcome(Ok(result), || Step::None).await;
                }
            }
        }
        let unlocked = match locked.unlocked() {
            Some(unlocked) => unlocked.clone(),
            None => {
                let unlocked = self.unlock(locked, &shown).await;
                locked.settle(unlocked.clone());
                unlocked
            }
        };
        let Some(key) = unlocked else {
            return Ok(Progress::Refused);
        };
        let holder = Holder::File(key);
        let credential = Credential {
            holder,
            certificate,
        };
        self.offer(credential, shown).await
    }

    async fn unlock(&mut self, locked: &Arc<LockedKey>, shown: &str) -> Option<Arc<PrivateKey>> {
        if self.settings.batch_mode {
            self.tried.push(format!(
                "{shown} (needs a passphrase, and batch mode asks nothing)"
            ));
            self.hints.key_remedy.get_or_insert_with(|| locked.remedy());
            return None;
        }
        let text = format!("Enter passphrase for key '{}': ", locked.path().display());
        for _ in 0..MAX_PROMPTS {
            let Some(passphrase) = self.ask(text.clone()).await else {
                self.tried
                    .push(format!("{shown} (needs a passphrase, and none was given)"));
                self.hints.key_remedy.get_or_insert_with(|| locked.remedy());
                return None;
            };
            if passphrase.expose().is_empty() {
                break;
            }
            let locked = Arc::clone(locked);
            let unlocking = tokio::task::spawn_blocking(move || locked.unlock(&passphrase));
            if let Ok(Some(key)) = unlocking.await {
                return Some(key);
            }
        }
        self.tried.push(format!("{shown} (wrong passphrase)"));
        None
    }

    async fn password(&mut self) -> Result<Progress, Error> {
        for _ in 0..self.settings.password_prompts {
            let text = format!("{}'s password: ", self.settings.destination());
            let Some(password) = self.ask(text).await else {
                self.tried.push("password (none given)".to_owned());
                return Ok(Progress::Refused);
            };
            self.tried.push("password".to_owned());
            self.hints.wrong_password = true;
            let user = self.settings.user.as_str();
            let result = self
                .handle
                .authenticate_password(user, password.expose())
                .await;
            let result = result.map_err(|_| ());
            let progress = self
                .note_outcome(result, || Step::Password(password))
                .await?;
            if progress != Progress::Refused {
                self.hints.wrong_password = false;
                return Ok(progress);
            }
        }
        Ok(Progress::Refused)
    }

    async fn interactive(&mut self) -> Result<Progress, Error> {
        for _ in 0..self.settings.password_prompts {
            let destination = self.settings.destination();
            let user = self.settings.user.as_str();
            let (prompt, patience) = (self.prompt, self.patience);
            let ask = |question: Question| put(prompt, patience, question);
            let (result, answers) = match exchange(self.handle, user, &destination, ask).await {
                Exchange::Judged(result, answers) => (result, answers),
                Exchange::Abandoned(why) => {
                    self.tried.push(format!("keyboard-interactive ({why})"));
                    self.hints.unanswered = true;
                    return Err(self.refused());
                }
            };
            self.tried.push("keyboard-interactive".to_owned());
            let asked = !answers.is_empty();
            self.hints.wrong_password = asked;
            let step = || match answers.as_slice() {
                [answer] if !answer.shown => Step::Interactive(answer.text.clone()),
                _ => Step::Unrepeatable,
            };
            let progress = self.note_outcome(result, step).await?;
            if progress != Progress::Refused {
                self.hints.wrong_password = false;
                return Ok(progress);
            }
            // Refused without a question, so it would be refused without one the next time.
            if !asked {
                break;
            }
        }
        Ok(Progress::Refused)
    }

    /// Notes the outcome of one try.
    async fn note_outcome(
        &mut self,
        result: Result<AuthResult, ()>,
        step: impl FnOnce() -> Step,
    ) -> Result<Progress, Error> {
        match result {
            Ok(AuthResult::Success) => {
                self.steps.push(step());
                Ok(Progress::In)
            }
            Ok(AuthResult::Failure {
                remaining_methods,
                partial_success,
            }) => {
                // russh reports a hang-up as a failure with no method left.
                let hung_up = remaining_methods.is_empty() && hung_up(self.shared).await;
                if hung_up || self.handle.is_closed() {
                    return Err(self.thrown_out().await);
                }
                self.methods = remaining_methods;
                if !partial_success {
                    return Ok(Progress::Refused);
                }
                self.steps.push(step());
                Ok(Progress::Partly)
            }
            Err(()) => Err(self.thrown_out().await),
        }
    }

    async fn ask(&mut self, text: String) -> Option<Secret> {
        let question = Question { text, shown: false };
        let answer = put(self.prompt, self.patience, question).await;
        self.hints.unanswered |= answer.is_none();
        answer
    }

    fn is_new(&self, key: &PublicKey, certificate: Option<&Certificate>) -> bool {
        let is_it = |(k, c): &(PublicKey, Option<Certificate>)| {
            k.key_data() == key.key_data() && c.as_ref() == certificate
        };
        !self.offered.iter().any(is_it)
    }

    fn refused(&self) -> Error {
        Error::LoginRefused {
            destination: self.settings.destination(),
            tried: self.tried(),
            accepts: match &self.hints.hung_up {
                Some(said) => format!("no more attempts ({said})"),
                None => names(&self.methods),
            },
            hint: self.advice(),
        }
    }

    /// Advice about a refusal.
    fn advice(&self) -> String {
        let settings = self.settings;
        let is_password =
            |m: &MethodKind| matches!(m, MethodKind::Password | MethodKind::KeyboardInteractive);
        let asks = self.methods.iter().any(is_password);
        let may_ask = self.order().iter().any(is_password);
        if self.hints.hung_up.is_some() {
            let keys = self.hints.agent_keys;
            return match keys {
                2.. => format!(
                    "the agent offered {keys} keys, more than the SSH server allows tries: name the right \
                     one with -i, and add -o IdentitiesOnly=yes"
                ),
                _ if self.hints.wrong_password => "check the user name and the password".to_owned(),
                _ if self.offered.len() > 1 => {
                    "name only the right key with -i, and add -o IdentitiesOnly=yes".to_owned()
                }
                _ => "its log says why".to_owned(),
            };
        }
        // The server was not shown the key that was meant.
        if !self.hints.wrong_password
            && let Some(remedy) = &self.hints.key_remedy
        {
            return remedy.clone();
        }
        let advice = if self.hints.wrong_password {
            "check the user name and the password"
        } else if asks && settings.batch_mode {
            "name a key it knows with -i; batch mode asks for no password"
        } else if asks && !may_ask {
            "name a key it knows with -i; the options forbid passwords (PasswordAuthentication, \
             KbdInteractiveAuthentication, PreferredAuthentications)"
        } else if self.hints.unanswered {
            "there is no terminal to ask on: name a key it knows with -i, or set SSH_ASKPASS and \
             SSH_ASKPASS_REQUIRE=force"
        } else {
            "check the user name, name a key it knows with -i, or add one to the agent"
        };
        advice.to_owned()
    }

    /// The error for a server that hung up in the middle of the log-in.
    async fn thrown_out(&mut self) -> Error {
        if self.tried.is_empty() {
            return ended(self.settings);
        }
        // The reason for the end arrives separately from the missing answer, and perhaps later.
        let _ = hung_up(self.shared).await;
        self.hints.hung_up = Some(self.shared.end().to_owned());
        self.refused()
    }

    fn tried(&self) -> String {
        match self.tried.as_slice() {
            [] => "nothing: no key and no password to offer".to_owned(),
            tried => tried.join(", "),
        }
    }
}

/// Whether the connection is lost, or is lost within a moment.
async fn hung_up(shared: &Shared) -> bool {
    timeout(HANG_UP, shared.lost_token().cancelled())
        .await
        .is_ok()
}

/// Asks a person; time limits do not run meanwhile.
async fn put(prompt: &Arc<dyn Prompt>, patience: &Patience, question: Question) -> Option<Secret> {
    let _asking = patience.asking();
    let prompt = Arc::clone(prompt);
    let asked = tokio::task::spawn_blocking(move || match question.shown {
        true => prompt.visible(&question.text),
        false => prompt.secret(&question.text),
    });
    asked.await.ok().flatten()
}

/// The methods, in ssh's order.
const ORDER: [MethodKind; 3] = [
    MethodKind::PublicKey,
    MethodKind::KeyboardInteractive,
    MethodKind::Password,
];
/// Number of times that a passphrase is asked for: it may be mistyped twice.
const MAX_PROMPTS: usize = 3;
/// How long after a hang-up the reason for it may arrive.
const HANG_UP: Duration = Duration::from_secs(1);
