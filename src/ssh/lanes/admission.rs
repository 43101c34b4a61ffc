//! Whether the SSH server accepts a further log-in.

use std::time::Instant;

/// What is known about that, and what the operator was told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Admission {
    /// It does, as far as is known.
    Open {
        /// Whether the operator was told of a refusal, and no further log-in has succeeded since.
        told: bool,
    },
    /// It does not: data shares the first connection.
    Refused {
        /// From this moment on it may accept one; `None`: not before there is another control connection.
        until: Option<Instant>,
        told: bool,
    },
}

impl Default for Admission {
    fn default() -> Self {
        Self::Open { told: false }
    }
}

impl Admission {
    /// Whether the server is known to refuse a further log-in.
    pub(super) fn is_refused(&mut self, now: Instant) -> bool {
        match *self {
            Self::Open { .. } => false,
            Self::Refused {
                until: Some(until),
                told,
            } if now >= until => {
                *self = Self::Open { told };
                false
            }
            Self::Refused { .. } => true,
        }
    }

    /// Notes a refusal that waiting for less than `until` does not change. Returns whether the operator is to
    /// be told: not again before a log-in has succeeded.
    pub(super) fn refuse(&mut self, until: Option<Instant>) -> bool {
        let (Self::Open { told } | Self::Refused { told, .. }) = *self;
        *self = Self::Refused { until, told: true };
        !told
    }

    /// Notes a further log-in that has succeeded. (It may have begun before one was refused.)
    pub(super) fn let_in(&mut self) {
        let (Self::Open { told } | Self::Refused { told, .. }) = self;
        *told = false;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_refusal_lasts_until_its_time_and_is_told_once() {
        let now = Instant::now();
        let later = now + Duration::from_secs(300);
        let mut admission = Admission::default();
        assert!(!admission.is_refused(now));
        assert!(admission.refuse(Some(later)), "the first is told");
        assert!(admission.is_refused(now));
        assert!(!admission.is_refused(later));
        assert!(!admission.is_refused(now), "its time was over before");
        assert!(!admission.refuse(None), "the operator knows");
        assert!(admission.is_refused(later + Duration::from_secs(300)));
        admission.let_in();
        assert!(
            admission.is_refused(later),
            "a lane from before changes nothing"
        );
        assert!(admission.refuse(None), "but after it a refusal is news");
    }
}
