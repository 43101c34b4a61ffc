//! Many cases, from end to end of whole sessions, several at a time.

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use ferryline::demo::ftp_client::Mode;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::case::{Aim, Case, Job};
use crate::relay::{Harm, Way};
use crate::trial::{self, Verdict};
use crate::world::World;

/// Every mode, up and down, with a small and a larger file, and harm of these kinds at points spread over all
/// bytes of such a session, in both directions.
pub struct Sweep {
    aim: Aim,
    harms: &'static [Harm],
    points: u64,
    lanes: usize,
    alive_interval: Option<Duration>,
}

impl Sweep {
    pub fn of(aim: Aim, harms: &'static [Harm]) -> Self {
        Self {
            aim,
            harms,
            points: 1,
            lanes: 1,
            alive_interval: None,
        }
    }

    /// Sets the number of points for each kind of harm, in each direction of each kind of session.
    pub fn points(mut self, points: u64) -> Self {
        let finer = std::env::var("FERRYLINE_FAULTS").map(|times| times.parse::<u64>());
        self.points = points * finer.map_or(1, |times| times.expect("FERRYLINE_FAULTS=N"));
        self
    }

    /// Sends data over the control connection.
    pub fn without_lanes(mut self) -> Self {
        self.lanes = 0;
        self
    }

    /// Has ferryline find out about lost connections by itself.
    pub fn silent(mut self) -> Self {
        self.alive_interval = Some(ALIVE_INTERVAL);
        self
    }

    /// Runs all cases.
    pub fn run(self) {
        let began = Instant::now();
        let cases = self.cases();
        let count = cases.len();
        let queue = Mutex::new(cases.into_iter());
        let tally = Mutex::new(Tally::default());
        let workers = if self.alive_interval.is_some() { 16 } else { 8 };
        thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| work(&queue, &tally, self.lanes, self.alive_interval));
            }
        });
        let tally = tally.into_inner().unwrap();
        println!(
            "{:?}, {} lanes: {count} cases: {} whole, {} failed, {} spared, in {:.1?}",
            self.aim,
            self.lanes,
            tally.whole,
            tally.failed,
            tally.spared,
            began.elapsed()
        );
        assert!(
            tally.wrong.is_empty(),
            "{} of {count} cases went wrong:\n{}",
            tally.wrong.len(),
            tally.wrong.join("\n")
        );
        assert_eq!(tally.whole + tally.failed + tally.spared, count);
        // Sessions differ in length by a few bytes.
        assert!(tally.spared * 4 < count, "most harm was never done");
    }

    fn cases(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        let sizes = measure(self.lanes);
        let mut odd = 0;
        for job in [Job::Download, Job::Upload] {
            for size in SIZES {
                for way in [Way::Up, Way::Down] {
                    let length = sizes.of(self.aim, job, size, way);
                    for mode in Mode::ALL {
                        for &harm in self.harms {
                            for point in 0..self.points {
                                // Each kind of harm, in each mode, gets other bytes.
                                odd = (odd + 7919) % 1009;
                                let share = length as f64 / self.points as f64;
                                let at = share * (point as f64 + odd as f64 / 1009.0);
                                cases.push(Case {
                                    mode,
                                    job,
                                    size,
                                    aim: self.aim,
                                    way,
                                    at: at as u64,
                                    harm,
                                });
                            }
                        }
                    }
                }
            }
        }
        cases
    }
}

/// Runs one case alone, and shows what `RUST_LOG` asks for.
pub fn run_one(case: Case) {
    let alive_interval = case.is_silent().then_some(ALIVE_INTERVAL);
    if std::env::var_os("RUST_LOG").is_some() {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        let _ = tracing_subscriber::fmt().with_env_filter(filter).try_init();
    }
    let queue = Mutex::new(vec![case].into_iter());
    let tally = Mutex::default();
    work(&queue, &tally, 1, alive_interval);
    println!("{case}: {tally:?}");
    assert!(tally.into_inner().unwrap().wrong.is_empty());
}

#[derive(Debug, Default)]
struct Tally {
    whole: usize,
    failed: usize,
    spared: usize,
    wrong: Vec<String>,
}

/// Takes cases one after another, in a world and on a runtime of its own.
fn work(
    queue: &Mutex<std::vec::IntoIter<Case>>,
    tally: &Mutex<Tally>,
    lanes: usize,
    alive_interval: Option<Duration>,
) {
    let next = || queue.lock().unwrap().next();
    let mut case = next();
    while case.is_some() {
        let runtime = runtime();
        let mut last = None;
        let ended = runtime.block_on(async {
            let mut world = World::with_lanes(lanes, alive_interval).await;
            while let Some(this) = case {
                case = next();
                last = Some(this);
                let verdict = timeout(CASE_LIMIT, trial::run(&mut world, &this)).await;
                let verdict = verdict.unwrap_or_else(|_| Err("it does not end".into()))?;
                let mut tally = tally.lock().unwrap();
                *match verdict {
                    Verdict::Failed => &mut tally.failed,
                    Verdict::Spared => &mut tally.spared,
                    Verdict::Whole => &mut tally.whole,
                } += 1;
            }
            world.stop().await
        });
        if let (Err(wrong), Some(last)) = (ended, last) {
            tally.lock().unwrap().wrong.push(format!("{last}: {wrong}"));
        }
        // After a case that went wrong a new world is needed.
        runtime.shutdown_background();
    }
}

/// The lengths of sessions without harm, in bytes: control and lane, up and down.
struct Lengths(Vec<(Job, usize, [u64; 5])>);

fn measure(lanes: usize) -> Lengths {
    runtime().block_on(async {
        let mut all = Vec::new();
        let mut world = World::with_lanes(lanes, None).await;
        let log_in = world.relay.passed(world.lane(), Way::Up);
        for job in [Job::Download, Job::Upload] {
            for size in SIZES {
                let look = |world: &World| {
                    [world.control(), world.lane()]
                        .map(|id| [Way::Up, Way::Down].map(|way| world.relay.passed(id, way)))
                        .concat()
                };
                let before = look(&world);
                let case = Case {
                    mode: Mode::ExtendedPassive,
                    job,
                    size,
                    aim: Aim::Control,
                    way: Way::Up,
                    at: u64::MAX / 2,
                    harm: Harm::Delay,
                };
                assert_eq!(trial::run(&mut world, &case).await, Ok(Verdict::Spared));
                let after = look(&world);
                let mut lengths = [0, 0, 0, 0, log_in];
                for (length, (after, before)) in lengths.iter_mut().zip(after.iter().zip(before)) {
                    *length = after - before;
                }
                all.push((job, size, lengths));
            }
        }
        world.stop().await.unwrap();
        Lengths(all)
    })
}

impl Lengths {
    fn of(&self, aim: Aim, job: Job, size: usize, way: Way) -> u64 {
        let found = self
            .0
            .iter()
            .find(|known| (known.0, known.1) == (job, size));
        let [control_up, control_down, lane_up, lane_down, log_in] = found.unwrap().2;
        match (aim, way) {
            (Aim::Control, Way::Up) => control_up,
            (Aim::Control, Way::Down) => control_down,
            (Aim::Lane, Way::Up) => lane_up,
            (Aim::Lane, Way::Down) => lane_down,
            (Aim::NewLane, Way::Up) => log_in + lane_up.min(log_in),
            (Aim::NewLane, Way::Down) => log_in + lane_down.min(log_in),
        }
    }
}

pub fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// One packet, and many.
const SIZES: [usize; 2] = [3_000, 150_000];
const ALIVE_INTERVAL: Duration = Duration::from_millis(150);
const CASE_LIMIT: Duration = Duration::from_secs(60);
