//! A connection to the client's own listener, once that is known to be the client's.

use std::{net::SocketAddr, time::Duration};

use tokio::net::TcpStream;

use super::context::DataContext;
use crate::proxy::{
    io::socket,
    policy::owner::{self, Owner},
};

/// How long the client's listener may take to answer: it is on this host or near.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection to the client's listener, from the address that the client has its control connection with
/// (Q74).
pub(super) async fn reach_client(
    data: &DataContext,
    deliver_to: SocketAddr,
) -> Result<TcpStream, String> {
    let from = SocketAddr::new(data.client_local.ip().to_canonical(), 0);
    let from = socket::on_link_of(from, data.client_local);
    let deliver_to = socket::on_link_of(deliver_to, data.client_peer);
    reach_listener(data.owner, from, deliver_to, &Kernel).await
}

/// A connection from `from` to the listener at `deliver_to`, if the session's owner owns that listener.
async fn reach_listener(
    owner: Owner,
    from: SocketAddr,
    deliver_to: SocketAddr,
    owners: &impl Owners,
) -> Result<TcpStream, String> {
    let listening = match owner {
        Owner::Untold => Owner::Untold,
        _ => owners.of_listener(deliver_to).await,
    };
    let connect = socket::connect(from, deliver_to);
    let Ok(stream) = tokio::time::timeout(CONNECT_TIMEOUT, connect).await else {
        return Err(format!(
            "the client's data port {deliver_to} does not answer"
        ));
    };
    let stream = stream
        .and_then(|stream| socket::data(&stream).map(|()| stream))
        .map_err(|error| format!("the client's data port {deliver_to}: {error}"))?;
    let (peer, still_listening) = match owner {
        Owner::Untold => (Owner::Untold, Owner::Untold),
        _ => accepted_by(&stream, deliver_to, owners).await,
    };
    if let Some(user) = stranger(owner, peer, listening, still_listening) {
        socket::reset(stream);
        return Err(format!(
            "the client's data port {deliver_to} is {user}'s, the client is {owner}"
        ));
    }
    Ok(stream)
}

/// A source of the owners of sockets.
trait Owners: Sync {
    /// The owner of the socket at the other end of a connection.
    fn of_peer(&self, stream: &TcpStream) -> impl Future<Output = Owner> + Send;
    /// The owner of the socket that listens at this address.
    fn of_listener(&self, at: SocketAddr) -> impl Future<Output = Owner> + Send;
}

struct Kernel;

impl Owners for Kernel {
    async fn of_peer(&self, stream: &TcpStream) -> Owner {
        owner::of_peer(stream).await
    }

    async fn of_listener(&self, at: SocketAddr) -> Owner {
        owner::of_listener(at).await
    }
}

/// The owner of the other end of a connection to a listener; and, where that is unknown, the owner of the
/// socket that listens there now.
async fn accepted_by(
    stream: &TcpStream,
    listener: SocketAddr,
    owners: &impl Owners,
) -> (Owner, Owner) {
    let peer = owners.of_peer(stream).await;
    if peer != Owner::Unknown {
        return (peer, Owner::Unknown);
    }
    match owners.of_listener(listener).await {
        // It is not in the queue of any listener. So if the peer is unknown even now, it was accepted and
        // closed again.
        Owner::Unknown => (owners.of_peer(stream).await, Owner::Unknown),
        listening => (peer, listening),
    }
}

/// The owner that would get the session's data without being its owner. `peer` is the one that has accepted
/// the connection. If none has yet, the owners of the listener `before` the connection was made and `behind`
/// it both have to be the session's: in between, the port may have gone from the client to another user.
///
/// Where there is neither peer nor listener, the data connection is over already. An upload of a few bytes
/// can be that fast, and a thief that is as fast gets nothing.
fn stranger(session: Owner, peer: Owner, before: Owner, behind: Owner) -> Option<Owner> {
    let users = match (peer, behind) {
        (Owner::Unknown, Owner::Unknown) => [before; 2],
        (Owner::Unknown, behind) => [before, behind],
        (known, _) => [known; 2],
    };
    users.into_iter().find(|user| !session.shares_with(*user))
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, sync::Mutex};

    use tokio::{io::AsyncReadExt, net::TcpListener};

    use super::*;
    use crate::lock::lock;

    /// The kernel's answers, one after the other, for peers and for listeners.
    struct Told {
        peers: Mutex<VecDeque<Owner>>,
        listeners: Mutex<VecDeque<Owner>>,
    }

    impl Told {
        fn new<const P: usize, const L: usize>(peers: [Owner; P], listeners: [Owner; L]) -> Self {
            Self {
                peers: Mutex::new(peers.into()),
                listeners: Mutex::new(listeners.into()),
            }
        }
    }

    fn next(answers: &Mutex<VecDeque<Owner>>) -> Owner {
        let mut answers = lock(answers);
        answers.pop_front().expect("asked once too often")
    }

    impl Owners for Told {
        async fn of_peer(&self, _: &TcpStream) -> Owner {
            next(&self.peers)
        }

        async fn of_listener(&self, _: SocketAddr) -> Owner {
            next(&self.listeners)
        }
    }

    /// The listener is looked at before the connection is made and again after it. A port that changed hands
    /// in between gets nothing, and the connection is reset.
    #[tokio::test]
    async fn q83_a_port_that_changes_hands_while_it_is_connected_to_gets_nothing() {
        use Owner::{Unknown, User};
        let (own, other) = (User(1000), User(1001));
        for (told, reached) in [
            // Accepted by the client.
            (Told::new([own], [own]), true),
            // Accepted by another user.
            (Told::new([other], [own]), false),
            // Not accepted yet; the same user still listens, or another one does by now.
            (Told::new([Unknown], [own, own]), true),
            (Told::new([Unknown], [own, other]), false),
            (Told::new([Unknown], [other, own]), false),
            // Accepted between the two looks.
            (Told::new([Unknown, own], [own, Unknown]), true),
            (Told::new([Unknown, other], [own, Unknown]), false),
            // Accepted and closed again.
            (Told::new([Unknown, Unknown], [own, Unknown]), true),
            (Told::new([Unknown, Unknown], [Unknown, Unknown]), false),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let at = listener.local_addr().unwrap();
            let from = "127.0.0.1:0".parse().unwrap();
            let result = reach_listener(own, from, at, &told).await;
            assert_eq!(result.is_ok(), reached, "{result:?}");
            for answers in [told.peers, told.listeners] {
                assert!(answers.lock().unwrap().is_empty(), "{result:?}");
            }
            if let Err(reason) = result {
                assert!(reason.ends_with("the client is user 1000"), "{reason}");
                let (mut accepted, _) = listener.accept().await.unwrap();
                assert!(accepted.read(&mut [0]).await.is_err(), "reset");
            }
        }
    }

    /// The owner of a connection from another host is not looked up.
    #[tokio::test]
    async fn of_an_owner_that_is_untold_no_other_is_asked() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let from = "127.0.0.1:0".parse().unwrap();
        let result = reach_listener(Owner::Untold, from, at, &Told::new([], [])).await;
        assert!(result.is_ok(), "{result:?}");
    }

    #[test]
    fn q83_a_listener_is_the_clients_before_and_after_or_its_connection_is() {
        use Owner::{Unknown, Untold, User};
        let (own, other, root) = (User(1000), User(1001), User(0));
        for (session, peer, before, behind, expected) in [
            // The owner that has accepted it decides.
            (own, own, own, Unknown, None),
            (own, own, Unknown, Unknown, None),
            (own, root, own, Unknown, None),
            (own, other, own, Unknown, Some(other)),
            (own, other, own, own, Some(other)),
            (own, Untold, own, Unknown, Some(Untold)),
            // Not accepted yet.
            (own, Unknown, own, own, None),
            (own, Unknown, root, own, None),
            (own, Unknown, own, other, Some(other)),
            (own, Unknown, other, own, Some(other)),
            (own, Unknown, Unknown, own, Some(Unknown)),
            // The connection is over.
            (own, Unknown, own, Unknown, None),
            (own, Unknown, other, Unknown, Some(other)),
            (own, Unknown, Unknown, Unknown, Some(Unknown)),
            (Unknown, Unknown, Unknown, Unknown, Some(Unknown)),
            (Untold, Untold, Untold, Untold, None),
        ] {
            let found = stranger(session, peer, before, behind);
            assert_eq!(found, expected, "{session}: {peer}, {before}, {behind}");
        }
    }
}
