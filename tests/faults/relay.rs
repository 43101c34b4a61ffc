//! A relay on the way to the SSH server that does harm on order: at a given byte of a given connection, in a
//! given direction.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::yield_now;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From ferryline to the SSH server.
    Up,
    /// From the SSH server to ferryline.
    Down,
}

/// The end that one side of a connection is shown when the connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// An orderly end (FIN).
    Fin,
    /// A reset (RST).
    Rst,
    /// Nothing at all: the connection stays open, and nothing is read from it or written to it, until
    /// [`Relay::bury`].
    Silent,
}

/// The kinds of harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// Nothing passes any more in either direction. The fields: what ferryline is shown, and what the SSH
    /// server is shown.
    Cut(End, End),
    /// The next few reads are each held for a moment.
    Delay,
    /// The next bytes go out one by one.
    Drip,
    /// This direction stands still until it is told to go on.
    Stall,
}

/// Harm that was ordered.
#[derive(Clone, Debug, Default)]
pub struct Ordered {
    /// Cancelled when the byte was reached, and the harm done or begun.
    pub reached: CancellationToken,
    /// Cancelled by the test to end a stall.
    pub go_on: CancellationToken,
}

/// The relay. Dropping it cuts everything.
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    target: SocketAddr,
    state: Mutex<State>,
    /// Ends the connections that have a side that was shown nothing.
    bury: Mutex<CancellationToken>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

#[derive(Default)]
struct State {
    count: u64,
    links: BTreeMap<u64, Arc<Link>>,
    /// The order for the connection that comes next.
    next: Option<(Way, Order)>,
}

/// A connection.
#[derive(Default)]
struct Link {
    up: Mutex<Side>,
    down: Mutex<Side>,
    cut: CancellationToken,
}

#[derive(Default)]
struct Side {
    passed: u64,
    order: Option<Order>,
}

struct Order {
    /// Number of bytes that pass before the harm, since the connection was made.
    at: u64,
    harm: Harm,
    ordered: Ordered,
}

impl Relay {
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            target,
            state: Mutex::default(),
            bury: Mutex::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        let serving = Arc::clone(&shared);
        shared.tasks.spawn(async move {
            loop {
                let near = tokio::select! {
                    accepted = listener.accept() => accepted.unwrap().0,
                    () = serving.stop.cancelled() => return,
                };
                let (id, link) = serving.state.lock().unwrap().add();
                let shared = Arc::clone(&serving);
                serving.tasks.spawn(async move {
                    let stop = shared.stop.clone();
                    tokio::select! {
                        () = run(&shared, id, &link, near) => {}
                        () = stop.cancelled() => {}
                    }
                });
            }
        });
        Self { address, shared }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The connections that are open, in the order in which they came. The numbers count all connections so
    /// far, from 0.
    pub fn live(&self) -> Vec<u64> {
        let state = self.shared.state.lock().unwrap();
        state.links.keys().copied().collect()
    }

    /// Number of bytes that have passed on a connection.
    pub fn passed(&self, id: u64, way: Way) -> u64 {
        let link = self.link(id);
        link.side(way).lock().unwrap().passed
    }

    /// Does harm on this connection as soon as `after` more bytes have passed in this direction and another
    /// one comes.
    pub fn order(&self, id: u64, way: Way, after: u64, harm: Harm) -> Ordered {
        let ordered = Ordered::default();
        let link = self.link(id);
        let mut side = link.side(way).lock().unwrap();
        side.order = Some(Order {
            at: side.passed + after,
            harm,
            ordered: ordered.clone(),
        });
        ordered
    }

    /// As [`Relay::order`], on the connection that comes next.
    pub fn order_next(&self, way: Way, after: u64, harm: Harm) -> Ordered {
        let ordered = Ordered::default();
        let order = Order {
            at: after,
            harm,
            ordered: ordered.clone(),
        };
        self.shared.state.lock().unwrap().next = Some((way, order));
        ordered
    }

    /// Resets this connection on both sides, now.
    pub fn cut(&self, id: u64) {
        self.link(id).cut.cancel();
    }

    /// Withdraws orders that have not been carried out, and ends the connections that were only shown
    /// nothing.
    pub fn bury(&self) {
        let mut state = self.shared.state.lock().unwrap();
        state.next = None;
        for link in state.links.values() {
            link.up.lock().unwrap().order = None;
            link.down.lock().unwrap().order = None;
        }
        std::mem::take(&mut *self.shared.bury.lock().unwrap()).cancel();
    }

    /// Cuts everything, and waits until all is gone.
    pub async fn stop(self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    fn link(&self, id: u64) -> Arc<Link> {
        let state = self.shared.state.lock().unwrap();
        Arc::clone(state.links.get(&id).expect("there is such a connection"))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

impl State {
    fn add(&mut self) -> (u64, Arc<Link>) {
        let id = self.count;
        self.count += 1;
        let link = Arc::new(Link::default());
        if let Some((way, order)) = self.next.take() {
            link.side(way).lock().unwrap().order = Some(order);
        }
        self.links.insert(id, Arc::clone(&link));
        (id, link)
    }
}

impl Link {
    fn side(&self, way: Way) -> &Mutex<Side> {
        match way {
            Way::Up => &self.up,
            Way::Down => &self.down,
        }
    }
}

/// How a connection ended.
enum Over {
    /// By an order.
    Cut(End, End, Ordered),
    /// One of the two sides broke.
    Broken,
    /// Both directions ended in order.
    Ended,
}

/// Runs one connection to its end.
async fn run(shared: &Shared, id: u64, link: &Link, mut near: TcpStream) {
    let bury = shared.bury.lock().unwrap().clone();
    let over = match TcpStream::connect(shared.target).await {
        Err(_) => None,
        Ok(mut far) => {
            near.set_nodelay(true).unwrap();
            far.set_nodelay(true).unwrap();
            let (near_read, near_write) = near.split();
            let (far_read, far_write) = far.split();
            let both = async {
                tokio::try_join!(
                    pass(near_read, far_write, &link.up),
                    pass(far_read, near_write, &link.down)
                )
            };
            let over = tokio::select! {
                ended = both => ended.err().unwrap_or(Over::Ended),
                () = link.cut.cancelled() => Over::Broken,
            };
            Some((over, far))
        }
    };
    shared.state.lock().unwrap().links.remove(&id);
    match over {
        None => reset(near),
        Some((Over::Ended, _)) => {}
        Some((Over::Broken, far)) => {
            reset(near);
            reset(far);
        }
        Some((Over::Cut(at_near, at_far, ordered), far)) => {
            let ends = async { tokio::join!(end(near, at_near, &bury), end(far, at_far, &bury)) };
            ordered.reached.cancel();
            ends.await;
        }
    }
}

async fn end(mut stream: TcpStream, end: End, bury: &CancellationToken) {
    match end {
        End::Fin => {
            let rest = async {
                let _ = stream.shutdown().await;
                // Read on, because closing it with something unread would reset it.
                let mut sink = vec![0; 16 * 1024];
                while !matches!(stream.read(&mut sink).await, Ok(0) | Err(_)) {}
            };
            tokio::select! {
                () = rest => {}
                () = bury.cancelled() => {}
            }
        }
        End::Rst => reset(stream),
        End::Silent => {
            bury.cancelled().await;
            reset(stream);
        }
    }
}

fn reset(stream: TcpStream) {
    let _ = stream.set_zero_linger();
}

/// Passes bytes on, as orders allow, up to the end of file.
async fn pass(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    side: &Mutex<Side>,
) -> Result<(), Over> {
    let mut buffer = vec![0; 16 * 1024];
    let mut slow = 0;
    loop {
        let count = from.read(&mut buffer).await.map_err(|_| Over::Broken)?;
        if count == 0 {
            let _ = to.shutdown().await;
            return Ok(());
        }
        if slow > 0 {
            slow -= 1;
            sleep(MOMENT).await;
        }
        let mut chunk = &buffer[..count];
        while !chunk.is_empty() {
            let (now, order) = take(side, chunk.len());
            to.write_all(&chunk[..now])
                .await
                .map_err(|_| Over::Broken)?;
            chunk = &chunk[now..];
            let Some(Order { harm, ordered, .. }) = order else {
                continue;
            };
            match harm {
                Harm::Cut(near, far) => return Err(Over::Cut(near, far, ordered)),
                Harm::Delay => {
                    ordered.reached.cancel();
                    sleep(MOMENT).await;
                    slow = SLOW;
                }
                Harm::Drip => {
                    ordered.reached.cancel();
                    for byte in chunk.iter().take(DRIP) {
                        to.write_all(&[*byte]).await.map_err(|_| Over::Broken)?;
                        side.lock().unwrap().passed += 1;
                        yield_now().await;
                    }
                    chunk = chunk.get(DRIP..).unwrap_or_default();
                }
                Harm::Stall => {
                    ordered.reached.cancel();
                    ordered.go_on.cancelled().await;
                }
            }
        }
    }
}

/// How much of a chunk may pass now, and what is to be done after it.
fn take(side: &Mutex<Side>, len: usize) -> (usize, Option<Order>) {
    let mut side = side.lock().unwrap();
    // The drip of the order before may have passed bytes since then. In that case it is due now.
    let order = side.order.as_ref();
    let until = order.map(|order| order.at.saturating_sub(side.passed));
    let now = match until {
        Some(until) if until < len as u64 => until as usize,
        _ => len,
    };
    side.passed += now as u64;
    let due = until.is_some_and(|until| until < len as u64);
    (now, if due { side.order.take() } else { None })
}

const MOMENT: Duration = Duration::from_millis(2);
const SLOW: usize = 4;
const DRIP: usize = 200;
