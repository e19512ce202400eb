//! The rate limit: one bucket for all keys of a workspace.
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tests::Workspace;

#[tokio::test]
async fn all_keys_of_a_workspace_share_its_bucket() {
    let workspace = Workspace::test("free").await;
    let other = workspace.with_key(&["read"], None).await;
    let begun = Instant::now();
    let (mut admitted, mut refused) = (0, 0);
    for caller in [&workspace, &other].into_iter().cycle().take(80) {
        match caller.get("/v1/workspace").await.status.as_u16() {
            200 => admitted += 1,
            429 => refused += 1,
            status => assert_eq!(status, 200),
        }
    }
    // Thirty at once, and one more each second; a process that meets a key for the first time may let one more in.
    let most = 30 + begun.elapsed().as_secs() + 12;
    assert!(refused > 0 && admitted <= most, "{admitted} of {most}");
}

/// Admitted calls of 20 clients that knock all the time, over some seconds after the burst.
#[tokio::test]
async fn twenty_parallel_clients_are_admitted_at_the_buckets_rate() {
    let workspace = Workspace::test("pro").await;
    let knock = async |span: Duration| {
        let begun = Instant::now();
        let mut admitted = 0u32;
        while begun.elapsed() < span {
            let answer = workspace.get("/v1/tools").await;
            match answer.status.as_u16() {
                200 => admitted += 1,
                429 => tokio::time::sleep(Duration::from_millis(40)).await,
                other => assert_eq!(other, 200, "{}", answer.text),
            }
        }
        admitted
    };
    let crowd = async |span| join_all((0..20).map(|_| knock(span))).await.into_iter().sum::<u32>();
    // While the bucket is full, a process that meets the key for the first time lets a call in for nothing: all of them
    // meet it first, and the bucket fills again.
    crowd(Duration::from_secs(3)).await;
    tokio::time::sleep(Duration::from_secs(13)).await;
    let begun = Instant::now();
    let admitted = crowd(Duration::from_secs(12)).await;
    // 120 at once, then ten a second: what the bucket holds, never more, and hardly less.
    let most = 120 + (begun.elapsed().as_millis() / 100) as u32;
    assert!(admitted <= most && f64::from(admitted) >= f64::from(most) * 0.95, "{admitted} of {most}");
}

#[tokio::test]
async fn a_retry_after_that_is_honoured_is_enough() {
    let workspace = Workspace::test("free").await;
    let mut refusals = 0;
    for _ in 0..34 {
        let answer = workspace.get("/v1/workspace").await;
        if answer.status == 429 {
            refusals += 1;
            let wait: u64 = answer.header("retry-after").parse().unwrap();
            tokio::time::sleep(Duration::from_secs(wait)).await;
            let next = workspace.get("/v1/workspace").await;
            assert_eq!(next.status, 200, "a second refusal after {wait} s: {}", next.text);
        }
    }
    assert!(refusals > 0, "a free workspace has 30 calls at once");
}
