//! A request for a passive data connection on its way: the form in which the server is asked, and its replies.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;

use super::{
    event::{DataCommand, DataCommands, ForwardId},
    pending_lines::BufferedReply,
};

/// State of one PASV or EPSV, or of a PORT or EPRT that is carried as passive.
#[derive(Debug)]
pub(super) struct PassiveRequest {
    answer: PassiveAnswer,
    asked: Asked,
    /// When it was sent.
    sent_at: Duration,
    /// The forward that the answer waits for.
    forward: Option<ForwardId>,
    /// The lines of the server's reply, while it comes in.
    reply: BufferedReply,
    refusal: Refusal,
}

/// What the client expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PassiveAnswer {
    Reply227,
    Reply229,
    /// A 200: it asked for an active data connection, to this listener of its own, by this command.
    Joined(SocketAddr, DataCommand),
}

/// The two forms of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PassiveForm {
    Pasv,
    Epsv,
}

impl PassiveForm {
    /// The request, in the form in which the server gets it.
    pub(super) fn line(self) -> Bytes {
        Bytes::from_static(match self {
            Self::Epsv => b"EPSV\r\n",
            Self::Pasv => b"PASV\r\n",
        })
    }
}

/// The forms in which the server may be asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct AskableForms {
    pasv: bool,
    epsv: bool,
}

impl AskableForms {
    /// `epsv_all`: EPSV ALL is in force, and after it the server must be sent no PASV (RFC 2428 §4).
    /// `refuses_epsv`: the server is known not to serve EPSV.
    pub(super) fn new(epsv_all: bool, refuses_epsv: bool) -> Self {
        Self {
            pasv: !epsv_all,
            epsv: !refuses_epsv,
        }
    }
}

/// How the server has been asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// In this form, and in no other yet.
    First(PassiveForm),
    /// As the client typed it, because ferryline cannot read the argument: in no other form, and the server's
    /// refusal is the client's answer (Q96).
    AsTyped,
    /// In this form, after the server refused the other.
    AfterRefusal(PassiveForm),
    /// By PASV, after the server left an EPSV unanswered; the answer to that may still come.
    AfterSilence,
    /// The same, and the EPSV's answer has come and was kept back. The PASV's is awaited until this time.
    AfterLateReply(Duration),
}

impl Asked {
    fn form(self) -> PassiveForm {
        match self {
            Self::First(form) | Self::AfterRefusal(form) => form,
            Self::AsTyped | Self::AfterSilence | Self::AfterLateReply(_) => PassiveForm::Pasv,
        }
    }

    fn is_second(self) -> bool {
        !matches!(self, Self::First(_) | Self::AsTyped)
    }
}

/// The server's refusal of the first form.
#[derive(Debug)]
enum Refusal {
    /// Its lines; none while there is no refusal that the client should get.
    Buffered(BufferedReply),
    /// The client has been given it: the reply to the other form is no second answer.
    Told,
}

impl PassiveRequest {
    fn new(answer: PassiveAnswer, asked: Asked) -> Self {
        Self {
            answer,
            asked,
            sent_at: Duration::ZERO,
            forward: None,
            reply: BufferedReply::default(),
            refusal: Refusal::Buffered(BufferedReply::default()),
        }
    }

    /// The client's PASV.
    pub(super) fn pasv() -> Self {
        Self::new(PassiveAnswer::Reply227, Asked::First(PassiveForm::Pasv))
    }

    /// The client's PASV, with an argument that ferryline cannot read.
    pub(super) fn pasv_as_typed() -> Self {
        Self::new(PassiveAnswer::Reply227, Asked::AsTyped)
    }

    /// The client's EPSV, for which the server is asked in this form.
    pub(super) fn epsv(form: PassiveForm) -> Self {
        Self::new(PassiveAnswer::Reply229, Asked::First(form))
    }

    /// The client's PORT or EPRT with this listener, which is carried as passive: the server is sent this
    /// form now.
    pub(super) fn joined(
        now: Duration,
        (listener, by): (SocketAddr, DataCommand),
        form: PassiveForm,
    ) -> Self {
        Self {
            sent_at: now,
            ..Self::new(PassiveAnswer::Joined(listener, by), Asked::First(form))
        }
    }

    /// A request whose reply comes late, after another reply was taken for it (Q23).
    pub(super) fn answered_late(expects_229: bool) -> Self {
        match expects_229 {
            true => Self::epsv(PassiveForm::Epsv),
            false => Self::pasv(),
        }
    }

    /// Whether the client expects a 229.
    pub(super) fn expects_229(&self) -> bool {
        self.answer == PassiveAnswer::Reply229
    }

    /// The client's listener, where it asked for an active data connection.
    pub(super) fn listener(&self) -> Option<SocketAddr> {
        match self.answer {
            PassiveAnswer::Joined(listener, _) => Some(listener),
            _ => None,
        }
    }

    /// The client's command, and the one that the server was sent last.
    pub(super) fn commands(&self) -> DataCommands {
        DataCommands {
            client: match self.answer {
                PassiveAnswer::Reply227 => DataCommand::Pasv,
                PassiveAnswer::Reply229 => DataCommand::Epsv,
                PassiveAnswer::Joined(_, by) => by,
            },
            server: match self.asked.form() {
                PassiveForm::Pasv => DataCommand::Pasv,
                PassiveForm::Epsv => DataCommand::Epsv,
            },
        }
    }

    /// Whether the client asked for an active data connection.
    pub(super) fn is_joined(&self) -> bool {
        self.listener().is_some()
    }

    /// The line that the server is sent in place of the client's EPSV. A PASV goes as the client sent it: its
    /// Telnet commands are already taken out (Q59).
    pub(super) fn line(&self) -> Option<Bytes> {
        self.expects_229().then(|| self.asked.form().line())
    }

    /// Notes when it is sent.
    pub(super) fn sent(&mut self, now: Duration) {
        self.sent_at = now;
    }

    /// Whether the server has been asked PASV in place of an EPSV that it does not serve.
    pub(super) fn asked_pasv_instead(&self) -> bool {
        self.asked.is_second() && self.asked.form() == PassiveForm::Pasv
    }

    /// Whether the server has been asked in both forms.
    pub(super) fn asked_again(&self) -> bool {
        self.asked.is_second()
    }

    /// Whether this reply, other than 227 and 229, makes ferryline ask in the other form.
    pub(super) fn retries(&self, code: u16, askable: AskableForms) -> bool {
        match self.asked {
            Asked::First(PassiveForm::Epsv) => {
                askable.pasv && matches!(code, 200..=299 | 500..=529 | 531..=599)
            }
            // A server reached over IPv6 can name no address in a 227 (Q22).
            Asked::First(PassiveForm::Pasv) => {
                askable.epsv && matches!(code, 425 | 500 | 501 | 502 | 504 | 522)
            }
            _ => false,
        }
    }

    /// Changes to the other form after a refusal. Returns the line for the server.
    pub(super) fn ask_in_other_form(&mut self) -> Bytes {
        let other = match self.asked.form() {
            PassiveForm::Epsv => PassiveForm::Pasv,
            PassiveForm::Pasv => PassiveForm::Epsv,
        };
        self.asked = Asked::AfterRefusal(other);
        other.line()
    }

    /// Asks PASV in place of an EPSV that the server leaves unanswered. Returns the line for the server;
    /// `None` where that has been done.
    pub(super) fn ask_after_silence(&mut self) -> Option<Bytes> {
        let first = self.asked == Asked::First(PassiveForm::Epsv);
        first.then(|| {
            self.asked = Asked::AfterSilence;
            PassiveForm::Pasv.line()
        })
    }

    /// Whether a reply with this code is the late answer to the EPSV. `stray`: that of another EPSV may still
    /// come.
    pub(super) fn is_late_epsv(&self, code: u16, stray: bool) -> bool {
        let by_silence = self.asked == Asked::AfterSilence && code >= 200 && code != 227;
        by_silence || (stray && self.asked.form() == PassiveForm::Pasv && code == 229)
    }

    /// Notes the end of the late answer to the EPSV. From here on the PASV counts, and its answer is awaited
    /// until this time. Returns whether that is news.
    pub(super) fn late_epsv_came(&mut self, until: Duration) -> bool {
        let news = self.asked == Asked::AfterSilence;
        if news {
            self.asked = Asked::AfterLateReply(until);
        }
        news
    }

    /// Time until which the server may leave it unanswered. `heard`: when the server's last final reply came;
    /// behind a request that was given up, the time begins at that moment.
    pub(super) fn silent_until(
        &self,
        heard: Duration,
        patience: Duration,
        only_epsv: bool,
    ) -> Option<Duration> {
        match self.asked {
            // After EPSV ALL the server must be sent no PASV (RFC 2428 §4).
            Asked::First(PassiveForm::Epsv) if !only_epsv => {
                Some(self.sent_at.max(heard) + patience)
            }
            Asked::AfterLateReply(until) => Some(until.max(heard + patience)),
            _ => None,
        }
    }

    /// Buffers a line of the server's passive reply.
    pub(super) fn buffer_reply(&mut self, line: Bytes) {
        self.reply.push(line);
    }

    pub(super) fn take_reply(&mut self) -> Vec<Bytes> {
        self.reply.take()
    }

    /// Buffers a line of a refusal that the client may get.
    pub(super) fn buffer_refusal(&mut self, line: Bytes) {
        if let Refusal::Buffered(refusal) = &mut self.refusal {
            refusal.push(line);
        }
    }

    /// Buffers a line of the refusal of the first form, which the client gets if the other is refused too. A
    /// client that asked EPSV gets the refusal of the PASV instead.
    pub(super) fn buffer_first_refusal(&mut self, line: Bytes) {
        if self.asked.form() == PassiveForm::Pasv {
            self.buffer_refusal(line);
        }
    }

    /// Whether a refusal is buffered for the client.
    pub(super) fn has_refusal(&self) -> bool {
        matches!(&self.refusal, Refusal::Buffered(refusal) if !refusal.is_empty())
    }

    /// Takes the refusal for the client; empty where there is none. From here on the reply to the other form
    /// is no second answer.
    pub(super) fn tell_refusal(&mut self) -> Vec<Bytes> {
        match std::mem::replace(&mut self.refusal, Refusal::Told) {
            Refusal::Buffered(mut refusal) => refusal.take(),
            Refusal::Told => Vec::new(),
        }
    }

    /// Whether ferryline owes the client an answer where the server sends no more. `held`: the answer waits
    /// for its forward.
    pub(super) fn is_owed_an_answer(&self, held: bool) -> bool {
        let told = matches!(self.refusal, Refusal::Told);
        !told && (held || self.asked_again() || self.is_joined())
    }

    /// The forward that the answer waits for.
    pub(super) fn forward(&self) -> Option<ForwardId> {
        self.forward
    }

    /// Notes that the answer waits for this forward.
    pub(super) fn opens(&mut self, id: ForwardId) {
        self.forward = Some(id);
    }
}
