//! A circuit breaker: a vendor that keeps failing is left alone for a while, then tried with one call.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Failures in a row after which the circuit opens.
const FAILURES: u32 = 5;

/// How long it stays open.
const REST: Duration = Duration::from_secs(20);

/// One vendor's circuit, in this process.
#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<Circuit>);

#[derive(Debug, Default)]
struct Circuit {
    failures: u32,
    open_until: Option<Instant>,
}

impl Breaker {
    /// Lets a call through, or says for how long not. The first call after the rest is the probe: it takes the
    /// circuit for another rest, so that until it succeeds no other call follows.
    pub(super) fn admit(&self, now: Instant) -> Result<(), Duration> {
        let mut circuit = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match circuit.open_until {
            Some(until) if now < until => Err(until - now),
            Some(_) => {
                circuit.open_until = Some(now + REST);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The vendor answered.
    pub(super) fn close(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Circuit::default();
    }

    /// The vendor failed.
    pub(super) fn count(&self, now: Instant) {
        let mut circuit = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        circuit.failures += 1;
        if circuit.failures >= FAILURES {
            circuit.open_until = Some(now + REST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_five_failures_in_a_row_and_not_before() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..4 {
            breaker.count(now);
        }
        assert_eq!(breaker.admit(now), Ok(()));
        breaker.close();
        for _ in 0..4 {
            breaker.count(now);
        }
        assert_eq!(breaker.admit(now), Ok(()));
        breaker.count(now);
        assert_eq!(breaker.admit(now), Err(REST));
    }

    #[test]
    fn after_the_rest_one_probe_goes_through_and_decides() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..5 {
            breaker.count(now);
        }
        let later = now + REST;
        assert_eq!(breaker.admit(later), Ok(()));
        assert_eq!(breaker.admit(later), Err(REST));
        breaker.count(later);
        assert!(breaker.admit(later + REST / 2).is_err());
        assert_eq!(breaker.admit(later + REST), Ok(()));
        breaker.close();
        assert_eq!(breaker.admit(later + REST), Ok(()));
        assert_eq!(breaker.admit(later + REST), Ok(()));
    }
}
