//! The first log-in: what there is is tried, in ssh's order, asking a person where it must.

use std::io;
use std::sync::Arc;

use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse};
use russh::keys::agent::AgentIdentity;
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey};
use russh::{MethodKind, MethodSet, SendError, Signer};

use super::agent::Agent;
use super::algorithms::may_sign;
use super::auth::{MAX_STEPS, Step, best_rsa_hash, ended, finished, names};
use super::error::{Error, escaped};
use super::events::Events;
use super::keys::{KeyFile, LockedKey, public_half_of};
use super::prompt::{Patience, Prompt, Secret};
use super::settings::{Identity, Settings};

/// The first log-in under way.
pub(super) struct Attempt<'a> {
    handle: &'a mut Handle<Events>,
    settings: &'a Settings,
    prompt: &'a Arc<dyn Prompt>,
    patience: &'a Patience,
    passwords: bool,
    methods: MethodSet,
    steps: Vec<Step>,
    tried: Vec<String>,
    offered: Vec<PublicKey>,
    rsa_hash: Option<Option<HashAlg>>,
}

/// What became of one try.
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
    /// `passwords`: whether this server may be given any.
    pub(super) fn new(
        handle: &'a mut Handle<Events>,
        settings: &'a Settings,
        prompt: &'a Arc<dyn Prompt>,
        patience: &'a Patience,
        passwords: bool,
    ) -> Self {
        Self {
            handle,
            settings,
            prompt,
            patience,
            passwords: passwords && settings.password_authentication,
            methods: MethodSet::empty(),
            steps: Vec::new(),
            tried: Vec::new(),
            offered: Vec::new(),
            rsa_hash: None,
        }
    }

    /// Tries until the server lets us in or there is nothing left to try.
    pub(super) async fn run(mut self) -> Result<Vec<Step>, Error> {
        let user = self.settings.user.clone();
        let asked = self.handle.authenticate_none(user).await;
        let mut progress = self.judge(asked.map_err(|_| ()), || Step::None)?;
        // Each method is gone through once for each time the server asks for more.
        for _ in 0..MAX_STEPS {
            progress = match progress {
                Progress::In => return Ok(self.steps),
                Progress::Partly | Progress::Refused => self.next_method().await?,
            };
            if progress == Progress::Refused {
                break;
            }
        }
        match progress {
            Progress::In => Ok(self.steps),
            Progress::Partly | Progress::Refused => Err(self.refused()),
        }
    }

    async fn next_method(&mut self) -> Result<Progress, Error> {
        if self.methods.contains(&MethodKind::PublicKey) {
            for source in [Source::Agent, Source::Files] {
                let progress = match source {
                    Source::Agent => self.agent_keys().await?,
                    Source::Files => self.key_files().await?,
                };
                if progress != Progress::Refused {
                    return Ok(progress);
                }
            }
        }
        if !self.passwords {
            return Ok(Progress::Refused);
        }
        if self.methods.contains(&MethodKind::Password) {
            return self.password().await;
        }
        if self.methods.contains(&MethodKind::KeyboardInteractive) {
            return self.interactive().await;
        }
        Ok(Progress::Refused)
    }

    async fn agent_keys(&mut self) -> Result<Progress, Error> {
        let Some(path) = &self.settings.agent else {
            return Ok(Progress::Refused);
        };
        let mut agent = match Agent::connect(path).await {
            Ok(agent) => agent,
            Err(error) => {
                tracing::debug!(agent = %path.display(), %error, "no agent");
                return Ok(Progress::Refused);
            }
        };
        let mut identities = agent.identities().await;
        let wanted = self.named_keys().await;
        let rank = |identity: &AgentIdentity| {
            let key = identity.public_key();
            let at = wanted.iter().position(|w| w.key_data() == key.key_data());
            at.unwrap_or(usize::MAX)
        };
        if self.settings.identities_only {
            identities.retain(|identity| rank(identity) != usize::MAX);
        }
        identities.sort_by_key(rank);
        for identity in identities {
            let key = identity.public_key().into_owned();
            if !self.is_new(&key) || !may_sign(self.settings, &key.algorithm()) {
                continue;
            }
            self.tried.push(format!("agent key {}", short(&key)));
            let result = agent
                .authenticate(self.handle, self.settings, &identity)
                .await;
            match result {
                // The agent would not sign; its file may still do.
                Err(()) if !self.handle.is_closed() => continue,
                result => {
                    let progress = self.judge(result, || Step::Agent(Box::new(identity)))?;
                    self.offered.push(key);
                    if progress != Progress::Refused {
                        return Ok(progress);
                    }
                }
            }
        }
        Ok(Progress::Refused)
    }

    async fn key_files(&mut self) -> Result<Progress, Error> {
        let settings = self.settings;
        for identity in &settings.identities {
            let path = identity.path.clone();
            let read = tokio::task::spawn_blocking(move || KeyFile::read(&path)).await;
            let file = match read {
                Ok(Ok(file)) => file,
                Ok(Err(error)) => {
                    self.unreadable(identity, &error);
                    continue;
                }
                Err(_) => continue,
            };
            if file.public_key().is_some_and(|key| !self.is_new(key)) {
                continue;
            }
            let algorithm = match &file {
                KeyFile::Open(key) => Some(key.algorithm()),
                KeyFile::Locked(key) => key.public_key().map(PublicKey::algorithm),
            };
            if algorithm.is_some_and(|algorithm| !may_sign(settings, &algorithm)) {
                let shown = identity.path.display();
                let reason = "not allowed by PubkeyAcceptedAlgorithms";
                self.tried.push(format!("key {shown} ({reason})"));
                continue;
            }
            if let Some(key) = file.public_key() {
                self.offered.push(key.clone());
            }
            let shown = identity.path.display();
            let progress = match file {
                KeyFile::Open(key) => {
                    self.tried.push(format!("key {shown}"));
                    self.key(key).await?
                }
                KeyFile::Locked(locked) => self.locked_key(&locked).await?,
            };
            if progress != Progress::Refused {
                return Ok(progress);
            }
        }
        Ok(Progress::Refused)
    }

    fn unreadable(&mut self, identity: &Identity, error: &io::Error) {
        let path = identity.path.display();
        let missing = error.kind() == io::ErrorKind::NotFound;
        if missing && !identity.explicit {
            return;
        }
        // Where nothing else lets us in, the refusal says so too.
        tracing::info!(key = %path, %error, "cannot use this private key");
        self.tried.push(format!("key {path} (not usable: {error})"));
    }

    async fn key(&mut self, key: Arc<PrivateKey>) -> Result<Progress, Error> {
        let hash = match key.algorithm().is_rsa() {
            true => self.rsa_hash().await,
            false => None,
        };
        let user = self.settings.user.clone();
        let with_hash = PrivateKeyWithHashAlg::new(Arc::clone(&key), hash);
        let result = self.handle.authenticate_publickey(user, with_hash).await;
        self.judge(result.map_err(|_| ()), || Step::Key(key))
    }

    /// The passphrase is asked for only once the server has said that it would take the key.
    async fn locked_key(&mut self, locked: &LockedKey) -> Result<Progress, Error> {
        let shown = locked.path().display();
        if let Some(public) = locked.public_key().cloned() {
            let hash = match public.algorithm().is_rsa() {
                true => self.rsa_hash().await,
                false => None,
            };
            let user = self.settings.user.clone();
            let probe = self
                .handle
                .authenticate_publickey_with(user, public, hash, &mut Probe)
                .await;
            match probe {
                Err(Probed::Wanted) => {}
                Err(Probed::Ended) => return Err(ended(self.settings)),
                Ok(result) => {
                    self.tried.push(format!("key {shown}"));
                    return self.judge(Ok(result), || Step::None);
                }
            }
        }
        if self.settings.batch_mode {
            self.tried.push(format!(
                "key {shown} (needs a passphrase, and batch mode asks nothing)"
            ));
            return Ok(Progress::Refused);
        }
        for _ in 0..MAX_PROMPTS {
            let text = format!("Enter passphrase for key '{shown}': ");
            let passphrase = self.ask(text).await;
            let Some(passphrase) = passphrase.filter(|p| !p.expose().is_empty()) else {
                break;
            };
            if let Some(key) = locked.unlock(&passphrase).await {
                self.tried.push(format!("key {shown}"));
                return self.key(key).await;
            }
        }
        self.tried.push(format!("key {shown} (not decrypted)"));
        Ok(Progress::Refused)
    }

    async fn password(&mut self) -> Result<Progress, Error> {
        if self.settings.batch_mode {
            return Ok(Progress::Refused);
        }
        let user = self.settings.user.clone();
        for _ in 0..MAX_PROMPTS {
            let text = format!("{}'s password: ", self.settings.destination());
            let Some(password) = self.ask(text).await else {
                self.tried.push("password (none given)".to_owned());
                return Ok(Progress::Refused);
            };
            self.tried.push("password".to_owned());
            let result = self
                .handle
                .authenticate_password(user.as_str(), password.expose())
                .await;
            let progress = self.judge(result.map_err(|_| ()), || Step::Password(password))?;
            if progress != Progress::Refused {
                return Ok(progress);
            }
        }
        Ok(Progress::Refused)
    }

    async fn interactive(&mut self) -> Result<Progress, Error> {
        if self.settings.batch_mode {
            return Ok(Progress::Refused);
        }
        for _ in 0..MAX_PROMPTS {
            self.tried.push("keyboard-interactive".to_owned());
            let user = self.settings.user.clone();
            let mut reply = self
                .handle
                .authenticate_keyboard_interactive_start(user, None)
                .await;
            let mut answered = Vec::new();
            let result = loop {
                let prompts = match reply {
                    Ok(KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. }) => prompts,
                    other => break finished(other),
                };
                let mut answers = Vec::new();
                for prompt in prompts {
                    let text = format!(
                        "({}) {} ",
                        self.settings.destination(),
                        escaped(&prompt.prompt)
                    );
                    let Some(answer) = self.ask(text).await else {
                        return Ok(Progress::Refused);
                    };
                    answers.push(answer.expose().to_owned());
                    answered.push((answer, prompt.echo));
                }
                if answered.len() > MAX_QUESTIONS {
                    return Ok(Progress::Refused);
                }
                reply = self
                    .handle
                    .authenticate_keyboard_interactive_respond(answers)
                    .await;
            };
            let progress = self.judge(result, || match answered.as_slice() {
                [] => Step::Unrepeatable,
                [(answer, false)] => Step::Interactive(answer.clone()),
                _ => Step::Unrepeatable,
            })?;
            if progress != Progress::Refused {
                return Ok(progress);
            }
        }
        Ok(Progress::Refused)
    }

    /// Notes the outcome of one try.
    fn judge(
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
                if self.handle.is_closed() {
                    return Err(self.thrown_out());
                }
                self.methods = remaining_methods;
                if !partial_success {
                    return Ok(Progress::Refused);
                }
                self.steps.push(step());
                Ok(Progress::Partly)
            }
            Err(()) => Err(self.thrown_out()),
        }
    }

    async fn ask(&self, text: String) -> Option<Secret> {
        let _asking = self.patience.asking();
        let prompt = Arc::clone(self.prompt);
        let asked = tokio::task::spawn_blocking(move || prompt.secret(&text));
        asked.await.ok().flatten()
    }

    async fn rsa_hash(&mut self) -> Option<HashAlg> {
        match self.rsa_hash {
            Some(hash) => hash,
            None => {
                let hash = best_rsa_hash(self.handle, self.settings).await;
                self.rsa_hash = Some(hash);
                hash
            }
        }
    }

    /// The public halves of the key files that were named.
    async fn named_keys(&self) -> Vec<PublicKey> {
        let paths: Vec<_> = self
            .settings
            .identities
            .iter()
            .map(|i| i.path.clone())
            .collect();
        let read = tokio::task::spawn_blocking(move || {
            paths
                .iter()
                .filter_map(|path| public_half_of(path))
                .collect()
        });
        read.await.unwrap_or_default()
    }

    fn is_new(&self, key: &PublicKey) -> bool {
        !self.offered.iter().any(|o| o.key_data() == key.key_data())
    }

    fn refused(&self) -> Error {
        let only_keys = !self.methods.contains(&MethodKind::Password)
            && !self.methods.contains(&MethodKind::KeyboardInteractive);
        let hint = match (self.settings.batch_mode, only_keys) {
            (true, false) => " (batch mode asks for no password)",
            (_, true) => " (name a key it knows with -i, or add one to the agent)",
            _ => "",
        };
        Error::LoginRefused {
            destination: self.settings.destination(),
            tried: self.tried(),
            accepts: names(&self.methods),
            hint: hint.to_owned(),
        }
    }

    /// The server hung up in the middle of it.
    fn thrown_out(&self) -> Error {
        if self.tried.is_empty() {
            return ended(self.settings);
        }
        Error::LoginRefused {
            destination: self.settings.destination(),
            tried: self.tried(),
            accepts: "no more attempts: it hung up".to_owned(),
            hint: match self.tried.len() {
                0..=2 => "",
                _ => " (too many keys? Name the right one with -i and -o IdentitiesOnly=yes)",
            }
            .to_owned(),
        }
    }

    fn tried(&self) -> String {
        match self.tried.as_slice() {
            [] => "nothing: no key and no password to offer".to_owned(),
            tried => tried.join(", "),
        }
    }
}

enum Source {
    Agent,
    Files,
}

/// Signs nothing: finds out whether the server would take a key.
struct Probe;

enum Probed {
    Ended,
    Wanted,
}

impl From<SendError> for Probed {
    fn from(_: SendError) -> Self {
        Self::Ended
    }
}

impl Signer for Probe {
    type Error = Probed;

    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        _: Option<HashAlg>,
        _: Vec<u8>,
    ) -> Result<Vec<u8>, Probed> {
        Err(Probed::Wanted)
    }
}

fn short(key: &PublicKey) -> String {
    match key.comment().as_str_lossy() {
        "" => key.fingerprint(HashAlg::Sha256).to_string(),
        comment => escaped(comment),
    }
}

/// A passphrase or password may be mistyped twice.
const MAX_PROMPTS: usize = 3;
const MAX_QUESTIONS: usize = 10;
