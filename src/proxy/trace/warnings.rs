//! What clients, servers and strangers can cause in the log, as often as they like.

use crate::{
    control::{EndReason, ForwardId, Notice, OtherProtocol},
    log_limit::LogLimit,
};

/// The limits of those log lines. Each kind has its own limit, so that none hides another. All forwards share
/// them.
#[derive(Default)]
pub(crate) struct Warnings {
    /// A client from an address that no `--allow-from` has.
    pub(crate) turned_away: LogLimit,
    /// A client that could not be accepted.
    pub(crate) unaccepted: LogLimit,
    /// A data connection that could not be accepted.
    pub(crate) unaccepted_data: LogLimit,
    /// A data connection from another address than the client's.
    pub(crate) stranger: LogLimit,
    /// A data connection of another local user's.
    pub(crate) other_user: LogLimit,
    /// An FTP server that may not be named.
    pub(crate) not_allowed: LogLimit,
    /// A control connection that could not be made.
    pub(crate) no_control: LogLimit,
    /// A plain forward's connection that could not be made.
    pub(crate) no_connection: LogLimit,
    /// A log-in that the FTP server refused.
    pub(crate) refused_log_in: LogLimit,
    /// A transfer that a client asked for without being logged in.
    pub(crate) refused_transfer: LogLimit,
    /// A session that the FTP server ended before the log-in.
    pub(crate) not_served: LogLimit,
    /// A client that names no FTP server where it has to.
    pub(crate) no_server_named: LogLimit,
    /// A client that insists on TLS.
    pub(crate) tls_refused: LogLimit,
    /// A session without a transcript.
    pub(crate) not_recorded: LogLimit,
    /// A transcript that ends before its session.
    pub(crate) recorded_no_further: LogLimit,
    data: DataLimits,
    notices: NoticeLimits,
    ends: EndLimits,
}

/// What can go wrong with a data connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trouble {
    /// No port could be listened on.
    NoListener,
    /// The client's data port could not be reached.
    ClientUnreachable,
    /// The SSH connection was lost before the data connection stood.
    LostBefore,
    /// The server's side was cut.
    ServerLost,
    /// The server ended it before the client had sent all.
    ServerClosed,
    /// The client's side ended without an end of file.
    ClientLost,
    /// It stood still after its session was over.
    Forsaken,
}

#[derive(Default)]
struct DataLimits {
    no_listener: LogLimit,
    client_unreachable: LogLimit,
    lost_before: LogLimit,
    server_lost: LogLimit,
    server_closed: LogLimit,
    client_lost: LogLimit,
    forsaken: LogLimit,
}

#[derive(Default)]
struct NoticeLimits {
    carried_as_passive: LogLimit,
    left_open: LogLimit,
    low_data_port: LogLimit,
    no_greeting: LogLimit,
    http: LogLimit,
    ssh: LogLimit,
    tls: LogLimit,
    other_data_host: LogLimit,
    silent_way: LogLimit,
    stalled_data: LogLimit,
    stalled_transfer: LogLimit,
    tls_required: LogLimit,
    unanswered: LogLimit,
    unconfirmed_transfer: LogLimit,
    unreachable: LogLimit,
    unused_forward: LogLimit,
    withheld: LogLimit,
}

/// Why ferryline ended a session.
#[derive(Default)]
struct EndLimits {
    flood: LogLimit,
    idle: LogLimit,
    not_logged_in: LogLimit,
    bad_reply: LogLimit,
    not_ftp_server: LogLimit,
    shutting_down: LogLimit,
    ssh_lost: LogLimit,
    left: LogLimit,
    too_many_names: LogLimit,
    too_many_replies: LogLimit,
    upload_broke: LogLimit,
}

impl EndLimits {
    fn of(&self, reason: &EndReason) -> &LogLimit {
        match reason {
            EndReason::Flood => &self.flood,
            EndReason::Idle(_) => &self.idle,
            EndReason::NotLoggedIn(_) => &self.not_logged_in,
            EndReason::LongReply(_) | EndReason::NulInReply => &self.bad_reply,
            EndReason::NotFtpServer(_) => &self.not_ftp_server,
            EndReason::ShuttingDown => &self.shutting_down,
            EndReason::SshLost | EndReason::SshSilent => &self.ssh_lost,
            EndReason::StillData(_) | EndReason::SilentServer(_) => &self.left,
            EndReason::TooManyNames => &self.too_many_names,
            EndReason::TooManyReplies => &self.too_many_replies,
            EndReason::UploadBroke => &self.upload_broke,
        }
    }
}

impl Warnings {
    /// Warns of a data connection.
    pub(crate) fn data(&self, session: u64, id: ForwardId, trouble: Trouble, text: &str) {
        let limits = &self.data;
        let limit = match trouble {
            Trouble::NoListener => &limits.no_listener,
            Trouble::ClientUnreachable => &limits.client_unreachable,
            Trouble::LostBefore => &limits.lost_before,
            Trouble::ServerLost => &limits.server_lost,
            Trouble::ServerClosed => &limits.server_closed,
            Trouble::ClientLost => &limits.client_lost,
            Trouble::Forsaken => &limits.forsaken,
        };
        limit.warn(format_args!("#{session} data connection {id}: {text}"));
    }

    /// Passes on what a session has to tell the operator.
    pub(crate) fn notice(&self, session: u64, notice: &Notice) {
        let limits = &self.notices;
        let limit = match notice {
            Notice::CarriedAsPassive(_) => &limits.carried_as_passive,
            Notice::LeftOpen(_) => &limits.left_open,
            Notice::LowDataPort { .. } => &limits.low_data_port,
            Notice::NoGreeting(_) => &limits.no_greeting,
            Notice::NotFtp(OtherProtocol::Http) => &limits.http,
            Notice::NotFtp(OtherProtocol::Ssh) => &limits.ssh,
            Notice::NotFtp(OtherProtocol::Tls) => &limits.tls,
            Notice::OtherDataHost { .. } => &limits.other_data_host,
            Notice::Ended(reason) => self.ends.of(reason),
            Notice::SilentWay(_) => &limits.silent_way,
            Notice::StalledData { .. } => &limits.stalled_data,
            Notice::StalledTransfer(_) => &limits.stalled_transfer,
            Notice::TlsRequired(_) => &limits.tls_required,
            Notice::Unanswered(..) => &limits.unanswered,
            Notice::UnconfirmedTransfer(_) => &limits.unconfirmed_transfer,
            Notice::Unreachable(..) => &limits.unreachable,
            Notice::UnusedForward(_) => &limits.unused_forward,
            Notice::Withheld(_) => &limits.withheld,
        };
        limit.warn(format_args!("#{session} {notice}"));
    }
}
