//! Many events to three webhooks: one takes them, one fails half of its answers, one never answers.

use std::time::Duration;

use tests::support::storm::Storm;

/// `make bench` sends a thousand.
const EVENTS: usize = 120;
const PATIENCE: Duration = Duration::from_secs(90);
/// A hanging address holds on for ten seconds; who had to wait for it would wait longer than this.
const UNDELAYED_MS: f64 = 8_000.0;

#[tokio::test]
async fn every_event_reaches_each_live_webhook_and_one_that_hangs_delays_nobody() {
    let storm = Storm::of(EVENTS, true, PATIENCE).await;
    assert_eq!((storm.well.len(), storm.half.len(), storm.taken.len()), (EVENTS, EVENTS, EVENTS));
    assert_eq!(storm.well, storm.half);
    assert!(storm.third > 0, "the hanging one was asked, too");
    let (middle, most) = (storm.wait(0.5), storm.wait(1.0));
    assert!(middle < UNDELAYED_MS, "half of the events took longer than {middle:.0} ms, one {most:.0} ms");
    let refused: Vec<&String> = storm.verdicts.iter().filter(|verdict| *verdict != "ok").collect();
    assert!(refused.is_empty() && storm.verdicts.len() >= 3 * EVENTS, "{refused:?}");
}
