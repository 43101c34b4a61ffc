//! Which clients are served: how many at once, and which local users.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
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

/// Decides for all forwards of a tunnel. FTP clients and connections of `tcp/` forwards have the same number
/// of seats each: neither can take those of the other.
pub(crate) struct Admission {
    sessions: usize,
    per_client: usize,
    only_users: Option<Vec<u32>>,
    own: Arc<OwnSeats>,
    all: Arc<AllSeats>,
    not_this_user: LogLimit,
    all_taken: LogLimit,
    own_taken: LogLimit,
}

/// How many clients are served, and which: see the fields of [`Options`](crate::proxy::Options).
#[derive(Debug, Default)]
pub(crate) struct Seats {
    pub(crate) sessions: usize,
    pub(crate) per_client: usize,
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
    /// This number of clients is served already, over all tunnels.
    OfAllTunnels(usize),
}

/// The seats of all tunnels together.
pub(crate) struct AllSeats {
    most: AtomicUsize,
    ftp: Mutex<usize>,
    tcp: Mutex<usize>,
    refusals: Semaphore,
}

/// The seats that a tunnel's clients have taken, whatever its limits were when they came.
#[derive(Default)]
struct OwnSeats {
    ftp: Mutex<Taken>,
    tcp: Mutex<Taken>,
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
    own: Arc<OwnSeats>,
    all: Arc<AllSeats>,
    kind: ForwardKind,
    client: IpAddr,
}

impl AllSeats {
    /// `refusals`: the number of refused clients that are waited for at once.
    pub(crate) fn new(most: usize, refusals: usize) -> Arc<Self> {
        Arc::new(Self {
            most: AtomicUsize::new(most),
            ftp: Mutex::default(),
            tcp: Mutex::default(),
            refusals: Semaphore::new(refusals.min(Semaphore::MAX_PERMITS)),
        })
    }

    /// Changes the number of seats. A client that has one keeps it.
    pub(crate) fn resize(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// Number of clients that are served.
    pub(crate) fn taken(&self) -> usize {
        let (ftp, tcp) = (*lock(&self.ftp), *lock(&self.tcp));
        ftp + tcp
    }

    fn of(&self, kind: ForwardKind) -> MutexGuard<'_, usize> {
        match kind {
            ForwardKind::Ftp => lock(&self.ftp),
            ForwardKind::Tcp => lock(&self.tcp),
        }
    }

    fn take(&self, kind: ForwardKind) -> Result<(), NotServed> {
        let mut taken = self.of(kind);
        let most = self.most.load(Ordering::Relaxed);
        if *taken >= most {
            return Err(NotServed::OfAllTunnels(most));
        }
        *taken += 1;
        Ok(())
    }
}

impl OwnSeats {
    fn of(&self, kind: ForwardKind) -> MutexGuard<'_, Taken> {
        match kind {
            ForwardKind::Ftp => lock(&self.ftp),
            ForwardKind::Tcp => lock(&self.tcp),
        }
    }
}

impl Admission {
    pub(crate) fn new(seats: Seats, all: &Arc<AllSeats>) -> Arc<Self> {
        Self::with(seats, Arc::default(), Arc::clone(all))
    }

    /// The same with other limits: clients that are served already count.
    pub(crate) fn renewed(&self, seats: Seats) -> Arc<Self> {
        Self::with(seats, Arc::clone(&self.own), Arc::clone(&self.all))
    }

    /// Number of clients that this tunnel serves.
    pub(crate) fn clients(&self) -> usize {
        [ForwardKind::Ftp, ForwardKind::Tcp]
            .into_iter()
            .map(|kind| self.own.of(kind).all)
            .sum()
    }

    fn with(seats: Seats, own: Arc<OwnSeats>, all: Arc<AllSeats>) -> Arc<Self> {
        Arc::new(Self {
            sessions: seats.sessions,
            per_client: seats.per_client,
            only_users: seats.only_users,
            own,
            all,
            not_this_user: LogLimit::new(),
            all_taken: LogLimit::new(),
            own_taken: LogLimit::new(),
        })
    }

    /// Admits a client, or returns why not.
    pub(crate) async fn admit(
        &self,
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
        self.all.refusals.try_acquire().ok()
    }

    /// Notes a refusal in the log.
    pub(crate) fn note(&self, peer: SocketAddr, reason: &NotServed) {
        let limit = match reason {
            NotServed::User(_) => &self.not_this_user,
            NotServed::All(_) | NotServed::OfAllTunnels(_) => &self.all_taken,
            NotServed::Own(..) => &self.own_taken,
        };
        limit.warn(format_args!("a client from {peer} refused: {reason}"));
    }

    fn take(&self, kind: ForwardKind, client: IpAddr) -> Result<Seat, NotServed> {
        let mut taken = self.own.of(kind);
        if taken.all >= self.sessions {
            return Err(NotServed::All(self.sessions));
        }
        let own = taken.by_client.entry(client).or_default();
        if self.per_client > 0 && *own >= self.per_client {
            return Err(NotServed::Own(client, *own));
        }
        if let Err(full) = self.all.take(kind) {
            if *own == 0 {
                taken.by_client.remove(&client);
            }
            return Err(full);
        }
        *own += 1;
        taken.all += 1;
        Ok(Seat {
            own: Arc::clone(&self.own),
            all: Arc::clone(&self.all),
            kind,
            client,
        })
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
            Self::OfAllTunnels(served) => write!(
                f,
                "too many clients, {served} are served already (max-sessions of [limits])"
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
        {
            let mut all = self.all.of(self.kind);
            *all = all.saturating_sub(1);
        }
        let mut taken = self.own.of(self.kind);
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
        let seats = Seats {
            sessions: 3,
            per_client: 2,
            ..Seats::default()
        };
        let all = AllSeats::new(3, 0);
        let admission = Admission::new(seats, &all);
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
            let taken = admission.own.of(kind);
            assert_eq!((taken.all, taken.by_client.len()), (0, 0));
            assert_eq!(all.taken(), 0);
        }
    }

    #[test]
    fn q129_tcp_connections_take_no_seat_of_an_ftp_client() {
        let seats = Seats {
            sessions: 1,
            ..Seats::default()
        };
        let admission = Admission::new(seats, &AllSeats::new(1, 0));
        let client = IpAddr::from([127, 0, 0, 1]);
        let _tcp = admission.take(ForwardKind::Tcp, client).ok().unwrap();
        assert!(admission.take(ForwardKind::Tcp, client).is_err());
        let _ftp = admission.take(ForwardKind::Ftp, client).ok().unwrap();
        assert!(admission.take(ForwardKind::Ftp, client).is_err());
    }

    #[test]
    fn q129_so_many_refused_clients_are_waited_for_and_no_more() {
        let admission = Admission::new(Seats::default(), &AllSeats::new(1, 1));
        let first = admission.refusal();
        assert!(first.is_some() && admission.refusal().is_none());
        drop(first);
        assert!(admission.refusal().is_some());
    }

    #[test]
    fn the_seats_of_all_tunnels_are_counted_together() {
        let all = AllSeats::new(2, 0);
        let seats = || Seats {
            sessions: 2,
            ..Seats::default()
        };
        let [one, two] = [(); 2].map(|()| Admission::new(seats(), &all));
        let client = IpAddr::from([127, 0, 0, 1]);
        let first = one.take(ForwardKind::Ftp, client).ok().unwrap();
        let second = two.take(ForwardKind::Ftp, client).ok().unwrap();
        let full = two.take(ForwardKind::Ftp, client).err().unwrap();
        assert!(matches!(full, NotServed::OfAllTunnels(2)), "{full}");
        assert!(two.take(ForwardKind::Tcp, client).is_ok());
        // Fewer seats take none that is taken.
        all.resize(1);
        drop(first);
        assert!(two.take(ForwardKind::Ftp, client).is_err());
        assert_eq!((one.clients(), two.clients(), all.taken()), (0, 1, 1));
        drop(second);
        assert!(one.take(ForwardKind::Ftp, client).is_ok());
    }

    #[test]
    fn clients_that_came_before_a_change_count_after_it() {
        let seats = |sessions| Seats {
            sessions,
            ..Seats::default()
        };
        let client = IpAddr::from([127, 0, 0, 1]);
        let before = Admission::new(seats(2), &AllSeats::new(9, 0));
        let first = before.take(ForwardKind::Ftp, client).ok().unwrap();
        let after = before.renewed(seats(1));
        assert!(after.take(ForwardKind::Ftp, client).is_err());
        drop(first);
        assert!(after.take(ForwardKind::Ftp, client).is_ok());
    }
}
