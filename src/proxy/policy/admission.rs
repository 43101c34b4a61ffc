//! Which clients are served: how many at once, and which local users.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::{
    net::TcpStream,
    sync::{Semaphore, SemaphorePermit},
};

use super::{
    owner::{self, Owner},
    spec::ForwardKind,
};
use crate::{lock::lock, log_limit::LogLimit};

/// Decides for all forwards of a proxy. FTP clients and connections of `tcp/` forwards have the same number
/// of seats each: neither can take those of the other.
pub(crate) struct Admission {
    sessions: usize,
    per_client: usize,
    only_users: Option<Vec<u32>>,
    ftp: Mutex<Taken>,
    tcp: Mutex<Taken>,
    refusals: Semaphore,
    not_this_user: LogLimit,
    all_taken: LogLimit,
    own_taken: LogLimit,
}

/// How many clients are served, and which: see the fields of [`Options`](crate::proxy::Options).
#[derive(Debug, Default)]
pub(crate) struct Seats {
    pub(crate) sessions: usize,
    pub(crate) per_client: usize,
    pub(crate) refusals: usize,
    pub(crate) only_users: Option<Vec<u32>>,
}

/// Why a client is not served.
#[derive(Debug)]
pub(crate) enum NotServed {
    /// Its user is none of `--only-user`.
    User(Owner),
    /// This number of clients is served already, `--max-sessions`.
    All(usize),
    /// This number of clients from its address is served already, `--max-per-client`.
    Own(IpAddr, usize),
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_client: HashMap<IpAddr, usize>,
}

/// A served client. It keeps its seat as long as this lives.
pub(crate) struct Admitted {
    /// The client's local user, where the kernel tells.
    pub(crate) owner: Owner,
    _seat: Seat,
}

struct Seat {
    admission: Arc<Admission>,
    kind: ForwardKind,
    client: IpAddr,
}

impl Admission {
    pub(crate) fn new(seats: Seats) -> Arc<Self> {
        Arc::new(Self {
            sessions: seats.sessions,
            per_client: seats.per_client,
            only_users: seats.only_users,
            ftp: Mutex::default(),
            tcp: Mutex::default(),
            refusals: Semaphore::new(seats.refusals.min(Semaphore::MAX_PERMITS)),
            not_this_user: LogLimit::new(),
            all_taken: LogLimit::new(),
            own_taken: LogLimit::new(),
        })
    }

    /// Admits a client, or returns why not.
    pub(crate) async fn admit(
        self: &Arc<Self>,
        stream: &TcpStream,
        peer: SocketAddr,
        kind: ForwardKind,
    ) -> Result<Admitted, NotServed> {
        let owner = owner::of_peer(stream).await;
        if let Some(users) = &self.only_users
            && !matches!(owner, Owner::User(user) if users.contains(&user))
        {
            return Err(NotServed::User(owner));
        }
        let seat = self.take(kind, peer.ip().to_canonical())?;
        Ok(Admitted { owner, _seat: seat })
    }

    /// A permit to wait until a client has read why it is not served; `None` where too many are waited for.
    pub(crate) fn refusal(&self) -> Option<SemaphorePermit<'_>> {
        self.refusals.try_acquire().ok()
    }

    /// Notes a refusal in the log.
    pub(crate) fn note(&self, peer: SocketAddr, reason: &NotServed) {
        let limit = match reason {
            NotServed::User(_) => &self.not_this_user,
            NotServed::All(_) => &self.all_taken,
            NotServed::Own(..) => &self.own_taken,
        };
        limit.warn(format_args!("a client from {peer} refused: {reason}"));
    }

    fn take(self: &Arc<Self>, kind: ForwardKind, client: IpAddr) -> Result<Seat, NotServed> {
        let mut taken = self.taken(kind);
        if taken.all >= self.sessions {
            return Err(NotServed::All(self.sessions));
        }
        let own = taken.by_client.entry(client).or_default();
        if self.per_client > 0 && *own >= self.per_client {
            return Err(NotServed::Own(client, *own));
        }
        *own += 1;
        taken.all += 1;
        Ok(Seat {
            admission: Arc::clone(self),
            kind,
            client,
        })
    }

    fn taken(&self, kind: ForwardKind) -> MutexGuard<'_, Taken> {
        let taken = match kind {
            ForwardKind::Ftp => &self.ftp,
            ForwardKind::Tcp => &self.tcp,
        };
        lock(taken)
    }
}

impl fmt::Display for NotServed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(owner) => write!(f, "this forward is not for {owner} (--only-user)"),
            Self::All(served) => write!(
                f,
                "too many clients, {served} are served already (--max-sessions)"
            ),
            Self::Own(client, served) => write!(
                f,
                "too many connections from {client}, {served} are served already (--max-per-client)"
            ),
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.admission.taken(self.kind);
        taken.all = taken.all.saturating_sub(1);
        if let Some(own) = taken.by_client.get_mut(&self.client) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                taken.by_client.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_counted_by_client_and_given_back() {
        let admission = Admission::new(Seats {
            sessions: 3,
            per_client: 2,
            ..Seats::default()
        });
        let one = IpAddr::from([127, 0, 0, 1]);
        let two = IpAddr::from([127, 0, 0, 2]);
        for kind in [ForwardKind::Ftp, ForwardKind::Tcp] {
            let take = |client| admission.take(kind, client);
            let first = take(one).ok().unwrap();
            let second = take(one).ok().unwrap();
            let full = take(one).err().unwrap().to_string();
            assert!(full.ends_with("(--max-per-client)"), "{full}");
            let third = take(two).ok().unwrap();
            let full = take(two).err().unwrap().to_string();
            assert!(full.ends_with("(--max-sessions)"), "{full}");
            drop((first, third));
            let third = take(one).ok().unwrap();
            drop((second, third));
            let taken = admission.taken(kind);
            assert_eq!((taken.all, taken.by_client.len()), (0, 0));
        }
    }

    #[test]
    fn q129_tcp_connections_take_no_seat_of_an_ftp_client() {
        let admission = Admission::new(Seats {
            sessions: 1,
            ..Seats::default()
        });
        let client = IpAddr::from([127, 0, 0, 1]);
        let _tcp = admission.take(ForwardKind::Tcp, client).ok().unwrap();
        assert!(admission.take(ForwardKind::Tcp, client).is_err());
        let _ftp = admission.take(ForwardKind::Ftp, client).ok().unwrap();
        assert!(admission.take(ForwardKind::Ftp, client).is_err());
    }

    #[test]
    fn q129_so_many_refused_clients_are_waited_for_and_no_more() {
        let admission = Admission::new(Seats {
            refusals: 1,
            ..Seats::default()
        });
        let first = admission.refusal();
        assert!(first.is_some() && admission.refusal().is_none());
        drop(first);
        assert!(admission.refusal().is_some());
    }
}
