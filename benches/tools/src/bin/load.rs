//! Many FTP clients in one process: the load of `benches/run -k many`, cheap enough to leave the processor to
//! what is measured.
//!
//!     load files   SERVER USER PASSWORD CLIENTS SECONDS PATH keep|close
//!     load readers SERVER USER PASSWORD SLOW RATE FAST SETTLE SECONDS PATH
//!     load logins  SERVER USER PASSWORD CLIENTS SECONDS
//!
//! `files`: each client fetches PATH over and over, and waits for each reply. With `close` it closes its data
//! connection at the end of the file, as most clients do. With `keep` it does so when it has read the 226, which
//! makes a patient client of it: vsftpd closes with SO_LINGER, and so says 226 when its FIN has been acknowledged,
//! and where no FIN of the client's goes back, the kernel delays that by 40 ms. So each makes 23 files a second at
//! most, and what is asked of those who are measured grows with the number of clients.
//!
//! `readers`: SLOW clients that take RATE bytes a second each from PATH, and FAST ones that take what they get, from
//! SETTLE seconds later on; SETTLE seconds later still the measured time begins. `logins`: a client every
//! SECONDS / CLIENTS, which logs in and stays.
//!
//! It prints `begin` where the measured time begins, `end` where it ends, keeps all connections until it has
//! read a line, and prints one line of JSON. In the last two modes a further client measures its NOOPs meanwhile,
//! on a thread of its own.

use std::{
    env,
    error::Error,
    io::{self, BufRead, Write},
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    sync::{Barrier, Semaphore, watch},
    task::{JoinSet, yield_now},
    time::{Instant, MissedTickBehavior, interval, interval_at, sleep, sleep_until, timeout},
};

/// The longest that a reply or a file may take; what takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(20);
/// Log-ins at a time before the measured time begins: fewer than vsftpd's listen queue has room for (32).
const LOGINS_AT_ONCE: usize = 16;
/// How often a slow reader takes its share.
const PACE: Duration = Duration::from_millis(50);
/// The pause between two NOOPs.
const PROBE_PAUSE: Duration = Duration::from_millis(5);
/// What is read at once.
const CHUNK: usize = 256 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [mode, server, user, password, rest @ ..] = arguments.as_slice() else {
        return Err("usage: load MODE SERVER USER PASSWORD … (benches/run starts it)".into());
    };
    let account = Account {
        server: server.parse()?,
        user: user.clone(),
        password: password.clone(),
    };
    // One thread: the other core is for those who are measured.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let result = match (mode.as_str(), rest) {
        ("files", [clients, seconds, path, end]) => runtime.block_on(files(
            account,
            clients.parse()?,
            Duration::from_secs_f64(seconds.parse()?),
            path,
            DataEnd::named(end)?,
        ))?,
        ("readers", [slow, rate, fast, settle, seconds, path]) => {
            let plan = Readers {
                slow: slow.parse()?,
                rate: rate.parse()?,
                fast: fast.parse()?,
                settle: Duration::from_secs_f64(settle.parse()?),
                measured: Duration::from_secs_f64(seconds.parse()?),
                path: path.clone(),
            };
            runtime.block_on(readers(account, plan))?
        }
        ("logins", [clients, seconds]) => runtime.block_on(logins(
            account,
            clients.parse()?,
            Duration::from_secs_f64(seconds.parse()?),
        ))?,
        _ => return Err(format!("load: {mode:?} with {} values is no mode", rest.len()).into()),
    };
    println!("{result}");
    Ok(())
}

// Small files

/// When a client closes the data connection of a download.
#[derive(Clone, Copy)]
enum DataEnd {
    AfterReply,
    AtEndOfFile,
}

impl DataEnd {
    fn named(word: &str) -> Result<Self, String> {
        match word {
            "keep" => Ok(Self::AfterReply),
            "close" => Ok(Self::AtEndOfFile),
            _ => Err(format!("load: {word:?} is neither keep nor close")),
        }
    }
}

async fn files(
    account: Account,
    clients: usize,
    measured: Duration,
    path: &str,
    end: DataEnd,
) -> io::Result<Value> {
    let mut crowd = log_in_all(&account, clients).await?;
    // Each fetches one file before: where something is opened on the first occasion, it is there.
    let mut first = JoinSet::new();
    for mut client in crowd.drain(..) {
        let path = path.to_owned();
        first.spawn(async move { client.file(&path, end).await.map(|()| client) });
    }
    let crowd = first
        .join_all()
        .await
        .into_iter()
        .collect::<io::Result<Vec<_>>>()?;
    tell("begin");
    let began = Instant::now();
    let until = began + measured;
    let mut tasks = JoinSet::new();
    for mut client in crowd {
        let path = path.to_owned();
        tasks.spawn(async move {
            let (mut times, mut counted) = (Times::default(), 0_usize);
            while Instant::now() < until {
                let started = Instant::now();
                if let Err(error) = client.file(&path, end).await {
                    return (client, times, counted, Some(error));
                }
                times.add(started);
                // One that was begun in time is waited for, and its time counts, but not for the rate.
                counted += usize::from(Instant::now() <= until);
            }
            (client, times, counted, None)
        });
    }
    let (mut times, mut counted, mut failures, mut kept) =
        (Times::default(), 0, Vec::new(), Vec::new());
    sleep_until(until).await;
    tell("end");
    for (client, of_client, files, failure) in tasks.join_all().await {
        times.0.extend(of_client.0);
        counted += files;
        failures.extend(failure);
        kept.push(client);
    }
    wait_for_line();
    Ok(json!({
        "files": counted,
        "rate": counted as f64 / measured.as_secs_f64(),
        "p50": times.percentile(50.0),
        "p99": times.percentile(99.0),
        "max": times.percentile(100.0),
        "failed": failures.len(),
        "failure": failures.first().map(ToString::to_string),
    }))
}

// Large files

struct Readers {
    slow: usize,
    /// Bytes a second that each slow one takes.
    rate: u64,
    fast: usize,
    /// How long the slow ones are alone, and then how long all are at it before the measured time begins.
    settle: Duration,
    measured: Duration,
    path: String,
}

/// What one reader has got so far.
#[derive(Default)]
struct Got {
    bytes: AtomicU64,
    /// Microseconds from its command to its first byte; 0: none came.
    first: AtomicU64,
}

async fn readers(account: Account, plan: Readers) -> io::Result<Value> {
    let crowd = log_in_all(&account, plan.slow + plan.fast).await?;
    let probe = Probe::start(&account)?;
    let (mut got, mut tasks) = (Vec::new(), JoinSet::new());
    let (stop, stopped) = watch::channel(());
    let fast_from = if plan.slow == 0 {
        Duration::ZERO
    } else {
        plan.settle
    };
    let fast_from = Instant::now() + fast_from;
    for (number, client) in crowd.into_iter().enumerate() {
        let of_reader = Arc::new(Got::default());
        got.push(Arc::clone(&of_reader));
        let rate = (number < plan.slow).then_some(plan.rate);
        let (path, mut stopped) = (plan.path.clone(), stopped.clone());
        tasks.spawn(async move {
            if rate.is_none() {
                sleep_until(fast_from).await;
            }
            tokio::select! {
                // The end is no failure, and what was on its way is left.
                _ = stopped.changed() => Ok(()),
                done = client.read_on(&path, rate, &of_reader) => done,
            }
        });
    }
    sleep_until(fast_from + plan.settle).await;
    tell("begin");
    let (before, began) = (bytes(&got), Instant::now());
    probe.begin();
    sleep(plan.measured).await;
    let (after, seconds) = (bytes(&got), began.elapsed().as_secs_f64());
    let noop = probe.end();
    tell("end");
    wait_for_line();
    let _ = stop.send(());
    let failures: Vec<_> = tasks
        .join_all()
        .await
        .into_iter()
        .filter_map(Result::err)
        .collect();
    let rates: Vec<f64> = before
        .iter()
        .zip(&after)
        .map(|(before, after)| (after - before) as f64 / seconds)
        .collect();
    let (slow, fast) = rates.split_at(plan.slow);
    let firsts = |of: &[Arc<Got>]| {
        let waits = of.iter().map(|got| got.first.load(Ordering::Relaxed));
        let waits: Vec<_> = waits.collect();
        // One that got nothing has waited for all the time there was.
        let never = (plan.settle + plan.measured).as_micros() as u64;
        let longest = waits.iter().map(|&us| if us == 0 { never } else { us });
        longest.max().map(|us| us as f64 / 1000.0)
    };
    let (of_slow, of_fast) = got.split_at(plan.slow);
    Ok(json!({
        "fast": fast.iter().sum::<f64>(),
        "fast_min": fast.iter().copied().reduce(f64::min),
        "slow": slow.iter().sum::<f64>(),
        "slow_min": slow.iter().copied().reduce(f64::min),
        "first_byte_slow": firsts(of_slow),
        "first_byte_fast": firsts(of_fast),
        "noop": noop?.summary(),
        "failed": failures.len(),
        "failure": failures.first().map(ToString::to_string),
    }))
}

fn bytes(got: &[Arc<Got>]) -> Vec<u64> {
    got.iter()
        .map(|got| got.bytes.load(Ordering::Relaxed))
        .collect()
}

// Log-ins

async fn logins(account: Account, clients: usize, within: Duration) -> io::Result<Value> {
    let probe = Probe::start(&account)?;
    tell("begin");
    probe.begin();
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for number in 0..clients {
        let account = account.clone();
        tasks.spawn(async move {
            let due = began + within.mul_f64(number as f64 / clients as f64);
            sleep_until(due).await;
            (Client::log_in(&account).await, due.elapsed())
        });
    }
    let (mut times, mut inside, mut refused, mut failures) =
        (Times::default(), Vec::new(), Vec::new(), Vec::new());
    for (client, took) in tasks.join_all().await {
        match client {
            Ok(client) => {
                times.0.push(took);
                inside.push(client);
            }
            Err(error) if error.to_string().contains("got 421") => refused.push(error),
            Err(error) => failures.push(error),
        }
    }
    let (seconds, noop) = (began.elapsed().as_secs_f64(), probe.end());
    // In is who is served, not who was greeted.
    for client in &mut inside {
        failures.extend(client.ask("NOOP", 200).await.err());
    }
    tell("end");
    wait_for_line();
    Ok(json!({
        "in": inside.len(),
        "refused": refused.len(),
        "refusal": refused.first().map(ToString::to_string),
        "failed": failures.len(),
        "failure": failures.first().map(ToString::to_string),
        "seconds": seconds,
        "p50": times.percentile(50.0),
        "max": times.percentile(100.0),
        "noop": noop?.summary(),
    }))
}

// A client

#[derive(Clone)]
struct Account {
    server: SocketAddr,
    user: String,
    password: String,
}

/// Logs in, a few at a time.
async fn log_in_all(account: &Account, clients: usize) -> io::Result<Vec<Client>> {
    let (turns, all) = (
        Arc::new(Semaphore::new(LOGINS_AT_ONCE)),
        Arc::new(Barrier::new(clients)),
    );
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        let (account, turns, all) = (account.clone(), Arc::clone(&turns), Arc::clone(&all));
        tasks.spawn(async move {
            let turn = turns.acquire().await;
            let client = Client::log_in(&account).await;
            drop(turn);
            all.wait().await;
            client
        });
    }
    tasks.join_all().await.into_iter().collect()
}

/// A control connection, one command at a time.
struct Client {
    control: BufReader<TcpStream>,
    address: IpAddr,
}

impl Client {
    async fn log_in(account: &Account) -> io::Result<Self> {
        let control = within("connecting", TcpStream::connect(account.server)).await?;
        control.set_nodelay(true)?;
        let address = account.server.ip();
        let control = BufReader::new(control);
        let mut client = Self { control, address };
        client.expect("the greeting", 220).await?;
        client.ask(&format!("USER {}", account.user), 331).await?;
        client
            .ask(&format!("PASS {}", account.password), 230)
            .await?;
        client.ask("TYPE I", 200).await?;
        Ok(client)
    }

    /// Fetches a whole file and throws it away.
    async fn file(&mut self, path: &str, end: DataEnd) -> io::Result<()> {
        let mut data = self.retrieve(path).await?;
        within("the file", async {
            let mut chunk = [0; 8192];
            while data.read(&mut chunk).await? > 0 {}
            Ok(())
        })
        .await?;
        match end {
            DataEnd::AfterReply => self.expect("the end of RETR", 226).await,
            DataEnd::AtEndOfFile => {
                drop(data);
                self.expect("the end of RETR", 226).await
            }
        }
    }

    /// Fetches a file over and over, `rate` bytes a second or what there is.
    async fn read_on(mut self, path: &str, rate: Option<u64>, got: &Got) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK];
        let started = Instant::now();
        loop {
            let mut data = self.retrieve(path).await?;
            let share = rate.map(|rate| rate as usize * PACE.as_millis() as usize / 1000);
            let mut ticks = interval(PACE);
            // A slow line does not make up for what it was not given.
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            'file: loop {
                let mut left = share.unwrap_or(CHUNK);
                match share {
                    Some(_) => drop(ticks.tick().await),
                    // All are on one thread: what does not yield keeps the clocks of the slow ones waiting.
                    None => yield_now().await,
                }
                while left > 0 {
                    let room = left.min(CHUNK);
                    let count = data.read(chunk.get_mut(..room).unwrap_or_default()).await?;
                    if count == 0 {
                        break 'file;
                    }
                    if got.bytes.fetch_add(count as u64, Ordering::Relaxed) == 0 {
                        let waited = started.elapsed().as_micros() as u64;
                        got.first.store(waited.max(1), Ordering::Relaxed);
                    }
                    left -= count;
                }
            }
            self.expect("the end of RETR", 226).await?;
        }
    }

    /// Begins a download; the data connection.
    async fn retrieve(&mut self, path: &str) -> io::Result<TcpStream> {
        let port = self.extended_passive().await?;
        let data = TcpStream::connect((self.address, port));
        let data = within("a data connection", data).await?;
        self.ask(&format!("RETR {path}"), 150).await?;
        Ok(data)
    }

    async fn extended_passive(&mut self) -> io::Result<u16> {
        self.send("EPSV").await?;
        let reply = self.reply("EPSV", 229).await?;
        let named = reply.split('|').nth(3).and_then(|port| port.parse().ok());
        named.ok_or_else(|| io::Error::other(format!("EPSV: {:?} names no port", reply.trim_end())))
    }

    async fn ask(&mut self, command: &str, wanted: u16) -> io::Result<()> {
        self.send(command).await?;
        self.expect(command, wanted).await
    }

    async fn send(&mut self, command: &str) -> io::Result<()> {
        self.control
            .write_all(format!("{command}\r\n").as_bytes())
            .await
    }

    async fn expect(&mut self, what: &str, wanted: u16) -> io::Result<()> {
        self.reply(what, wanted).await.map(drop)
    }

    /// The last line of the next reply, which has to have the code `wanted`.
    async fn reply(&mut self, what: &str, wanted: u16) -> io::Result<String> {
        // The password is in no message.
        let what = what.split(' ').next().unwrap_or(what);
        within(what, async {
            loop {
                let mut line = String::new();
                if self.control.read_line(&mut line).await? == 0 {
                    return Err(io::Error::other(format!(
                        "{what}: the control connection ended"
                    )));
                }
                let code = line.get(..3).and_then(|code| code.parse::<u16>().ok());
                if code.is_none() || line.get(3..4) == Some("-") {
                    continue;
                }
                if code == Some(wanted) {
                    return Ok(line);
                }
                let line = line.trim_end();
                return Err(io::Error::other(format!(
                    "{what}: expected {wanted}, got {line}"
                )));
            }
        })
        .await
    }
}

/// What takes longer than the patience is a failure that names itself.
async fn within<T>(what: &str, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(PATIENCE, work).await.unwrap_or_else(|_| {
        Err(io::Error::other(format!(
            "{what}: nothing for {PATIENCE:?}"
        )))
    })
}

// The other client

/// A client on a thread of its own, so that it waits for the server and not for the crowd's turn.
struct Probe {
    begun: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
    thread: thread::JoinHandle<io::Result<Times>>,
}

impl Probe {
    /// Logs in; NOOPs go out from now on, and count from `begin`.
    fn start(account: &Account) -> io::Result<Self> {
        let (begun, ended) = <(Arc<AtomicBool>, Arc<AtomicBool>)>::default();
        let (account, counts, over) = (account.clone(), Arc::clone(&begun), Arc::clone(&ended));
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let mut client = Client::log_in(&account).await?;
                let mut times = Times::default();
                let mut ticks = interval_at(Instant::now(), PROBE_PAUSE);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                while !over.load(Ordering::Relaxed) {
                    ticks.tick().await;
                    let asked = Instant::now();
                    client.ask("NOOP", 200).await?;
                    if counts.load(Ordering::Relaxed) {
                        times.add(asked);
                    }
                }
                Ok(times)
            })
        });
        Ok(Self {
            begun,
            ended,
            thread,
        })
    }

    fn begin(&self) {
        self.begun.store(true, Ordering::Relaxed);
    }

    fn end(self) -> io::Result<Times> {
        self.ended.store(true, Ordering::Relaxed);
        let ended = self.thread.join();
        ended.unwrap_or_else(|_| Err(io::Error::other("the probe panicked")))
    }
}

// Figures

#[derive(Default)]
struct Times(Vec<Duration>);

impl Times {
    fn add(&mut self, since: Instant) {
        self.0.push(since.elapsed());
    }

    /// Milliseconds (nearest rank); none where nothing was measured.
    fn percentile(&self, percent: f64) -> Option<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
        let found = sorted.get(rank.max(1) - 1)?;
        Some(found.as_secs_f64() * 1000.0)
    }

    fn summary(&self) -> Value {
        json!({
            "count": self.0.len(),
            "p50": self.percentile(50.0),
            "p99": self.percentile(99.0),
            "max": self.percentile(100.0),
        })
    }
}

fn tell(what: &str) {
    println!("{what}");
    let _ = io::stdout().flush();
}

/// Set when the measurement is over.
fn wait_for_line() {
    let _ = io::stdin().lock().read_line(&mut String::new());
}
