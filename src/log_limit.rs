//! Warnings that strangers can cause: their rate must not be the rate at which the log grows.
//!
//! The log says how many were left out: when their minute is over, or at a stop ([`tell_left_out_while`]).

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::lock::lock;

/// One kind of warning. The first is shown. Further ones are shown only at debug level, until a minute has
/// passed since the last that was shown. Then the log has the number of those left out.
#[derive(Debug)]
pub(crate) struct LogLimit {
    shown: Arc<Mutex<Shown>>,
    left_out: &'static LeftOut,
}

/// A minute.
const QUIET: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
struct Shown {
    /// When the last was shown, and its text.
    last: Option<(Instant, String)>,
    left_out: u64,
}

/// The kinds of which some were left out.
#[derive(Debug)]
struct LeftOut {
    /// How long nothing more of a kind is shown.
    quiet: Duration,
    kinds: Mutex<Vec<Arc<Mutex<Shown>>>>,
    /// A kind has come.
    came: Notify,
}

/// Those of this process.
static LEFT_OUT: LeftOut = LeftOut::new(QUIET);

impl LogLimit {
    pub(crate) fn new() -> Self {
        Self::of(&LEFT_OUT)
    }

    fn of(left_out: &'static LeftOut) -> Self {
        Self {
            shown: Arc::default(),
            left_out,
        }
    }

    /// Shows the warning, or leaves it out.
    pub(crate) fn warn(&self, text: fmt::Arguments<'_>) {
        match self.pass(Instant::now(), text) {
            Some(0) => tracing::warn!("{text}"),
            Some(left_out) => {
                tracing::warn!("{text} ({left_out} more like this since the last that was shown)");
            }
            None => tracing::debug!("{text}"),
        }
    }

    /// Returns how many were left out before this one, if it is to be shown.
    fn pass(&self, now: Instant, text: fmt::Arguments<'_>) -> Option<u64> {
        let mut shown = lock(&self.shown);
        // Since the last that was shown, not the last that happened: otherwise one warning a minute would
        // keep the log silent without end.
        if let Some((last, _)) = shown.last
            && now.saturating_duration_since(last) < self.left_out.quiet
        {
            let first = shown.left_out == 0;
            shown.left_out = shown.left_out.saturating_add(1);
            // What is told of the kinds takes these locks in the other order.
            drop(shown);
            if first {
                self.left_out.add(&self.shown);
            }
            return None;
        }
        shown.last = Some((now, text.to_string()));
        Some(std::mem::take(&mut shown.left_out))
    }
}

impl Default for LogLimit {
    fn default() -> Self {
        Self::new()
    }
}

impl LeftOut {
    const fn new(quiet: Duration) -> Self {
        Self {
            quiet,
            kinds: Mutex::new(Vec::new()),
            came: Notify::const_new(),
        }
    }

    fn add(&self, kind: &Arc<Mutex<Shown>>) {
        let mut kinds = lock(&self.kinds);
        if !kinds.iter().any(|known| Arc::ptr_eq(known, kind)) {
            kinds.push(Arc::clone(kind));
            self.came.notify_one();
        }
    }

    /// When the first of their minutes is over.
    fn next(&self) -> Option<Instant> {
        let kinds = lock(&self.kinds);
        let ends = kinds.iter().filter_map(|kind| self.end(&lock(kind)));
        ends.min()
    }

    /// Takes those whose minute is over by now, or all: how many were left out, and the text of the one that was
    /// shown.
    fn take(&self, by: Option<Instant>) -> Vec<(u64, String)> {
        let mut taken = Vec::new();
        lock(&self.kinds).retain(|kind| {
            let mut shown = lock(kind);
            let waits = by.is_some_and(|now| self.end(&shown).is_some_and(|end| now < end));
            if !waits {
                let left_out = std::mem::take(&mut shown.left_out);
                let text = shown.last.as_ref().map(|(_, text)| text.clone());
                // The next that was shown may have told of them.
                taken.extend(text.filter(|_| left_out > 0).map(|text| (left_out, text)));
            }
            waits
        });
        taken
    }

    /// Waits until the minute of some kind is over, and takes what was left out in it.
    async fn over(&self) -> Vec<(u64, String)> {
        loop {
            let next = self.next();
            let over = async {
                match next {
                    Some(end) => tokio::time::sleep_until(end).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = over => return self.take(Some(Instant::now())),
                () = self.came.notified() => {}
            }
        }
    }

    /// When the minute of this kind is over.
    fn end(&self, shown: &Shown) -> Option<Instant> {
        shown.last.as_ref().map(|(last, _)| *last + self.quiet)
    }
}

/// Says which warnings are left out, and how many, while this runs: when their minute is over, and at the end.
pub(crate) async fn tell_left_out_while<T>(running: impl Future<Output = T>) -> T {
    let telling = async {
        loop {
            tell(LEFT_OUT.over().await);
        }
    };
    let done = tokio::select! {
        done = running => done,
        never = telling => never,
    };
    tell(LEFT_OUT.take(None));
    done
}

fn tell(left_out: Vec<(u64, String)>) {
    for (number, text) in left_out {
        tracing::warn!("{number} more like this, not shown (-vv shows all): {text}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Limits that share nothing with other tests.
    fn limits<const N: usize>() -> (&'static LeftOut, [LogLimit; N]) {
        limits_of(QUIET)
    }

    fn limits_of<const N: usize>(quiet: Duration) -> (&'static LeftOut, [LogLimit; N]) {
        let left_out: &LeftOut = Box::leak(Box::new(LeftOut::new(quiet)));
        (left_out, [(); N].map(|()| LogLimit::of(left_out)))
    }

    fn pass(limit: &LogLimit, now: Instant) -> Option<u64> {
        limit.pass(now, format_args!("text"))
    }

    #[test]
    fn however_many_there_are_one_a_minute_is_shown_and_says_so() {
        let (_, [limit]) = limits();
        let began = Instant::now();
        let shown: Vec<_> = (0..1000)
            .filter_map(|number| pass(&limit, began + Duration::from_millis(number)))
            .collect();
        assert_eq!(shown, [0]);
        assert_eq!(pass(&limit, began + QUIET - Duration::from_nanos(1)), None);
        assert_eq!(pass(&limit, began + QUIET), Some(1000));
        // An hour of them, four a second.
        let hour = began + 2 * QUIET;
        let shown = (0..14_400)
            .filter_map(|number| pass(&limit, hour + Duration::from_millis(250 * number)))
            .count();
        assert_eq!(shown, 60);
    }

    #[test]
    fn what_is_rare_is_always_shown() {
        let (left_out, [limit]) = limits();
        let began = Instant::now();
        for minute in 0..10 {
            assert_eq!(pass(&limit, began + minute * QUIET), Some(0));
        }
        assert_eq!(left_out.take(None), []);
    }

    #[test]
    fn kinds_do_not_hide_each_other() {
        let (_, [one, other]) = limits();
        let now = Instant::now();
        assert_eq!((pass(&one, now), pass(&other, now)), (Some(0), Some(0)));
        assert_eq!((pass(&one, now), pass(&other, now)), (None, None));
    }

    #[test]
    fn what_was_left_out_is_told_when_its_minute_is_over() {
        let (left_out, [one, other]) = limits();
        let began = Instant::now();
        let later = began + Duration::from_secs(20);
        pass(&one, began);
        pass(&other, later);
        assert_eq!(left_out.next(), None, "nothing is left out yet");
        pass(&other, later);
        assert_eq!(left_out.next(), Some(later + QUIET));
        for _ in 0..3 {
            pass(&one, later);
        }
        assert_eq!(left_out.next(), Some(began + QUIET));
        assert_eq!(left_out.take(Some(later)), []);
        let text = || "text".to_owned();
        assert_eq!(left_out.take(Some(began + QUIET)), [(3, text())]);
        assert_eq!(left_out.take(Some(began + QUIET)), [], "once");
        // The next is shown, and has nothing left to tell.
        assert_eq!(pass(&one, began + QUIET), Some(0));
        // At a stop the minute is not waited for, and the kind may be gone.
        drop(other);
        assert_eq!(left_out.take(None), [(1, text())]);
    }

    #[tokio::test]
    async fn the_end_of_a_minute_is_awaited_and_needs_no_further_warning() {
        let (left_out, [limit]) = limits_of(Duration::from_millis(1));
        let told = tokio::spawn(left_out.over());
        tokio::task::yield_now().await;
        // Within its time, however busy the machine is.
        let began = Instant::now();
        for _ in 0..3 {
            pass(&limit, began);
        }
        let told = tokio::time::timeout(QUIET, told).await.expect("it is told");
        assert_eq!(told.unwrap(), [(2, "text".to_owned())]);
    }

    #[test]
    fn what_the_next_warning_has_told_is_not_told_again() {
        let (left_out, [limit]) = limits();
        let began = Instant::now();
        pass(&limit, began);
        pass(&limit, began);
        assert_eq!(pass(&limit, began + QUIET), Some(1));
        assert_eq!(left_out.take(None), []);
    }
}
