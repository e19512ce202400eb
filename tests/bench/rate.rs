//! The rate limit under many clients: how many calls it admits, and whether a client that waits as it is told is refused again.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tests::{Answer, Workspace};
use tokio::time::sleep;

use crate::figures::Row;

const CLIENTS: usize = 20;
/// What is measured, behind the burst.
const WINDOW: Duration = Duration::from_secs(30);
/// Clients that do not wait as they are told knock this often.
const KNOCK: Duration = Duration::from_millis(200);
/// A plan whose rate this machine can pass by far, in calls a second.
const KNOCKED_AT: (&str, f64) = ("pro", 10.0);
/// The plan of clients that have a workspace each: a call a second.
const ALONE: &str = "free";
/// The plan of clients that share a workspace: fifty calls a second, which are more than there are clients.
const TOGETHER: &str = "team";
/// A burst is used up by then, or the stack answers fewer calls than the plan admits.
const PATIENCE: Duration = Duration::from_mins(2);

/// The rows.
pub(crate) async fn measure() -> Vec<Row> {
    let (admitted, seconds) = knocking().await;
    let share = admitted as f64 / (seconds * KNOCKED_AT.1);
    let alone: Vec<Workspace> = join_all((0..CLIENTS).map(|_| drained(ALONE, 1))).await;
    let (refused, again) = waiting(&alone).await;
    let (shared_refused, shared_again) = waiting(&[drained(TOGETHER, CLIENTS).await]).await;
    vec![
        Row::stated(
            "rate limit, 20 clients that knock for 30 s: calls admitted against the bucket's rate",
            format!("{share:.3} ×, {admitted} in {seconds:.2} s"),
            "0.99 to 1.01 ×",
            (0.99..=1.01).contains(&share),
        ),
        Row::stated(
            "rate limit, 20 clients with a workspace each, which wait as Retry-After says: refused, and again after the wait",
            format!("{refused} and {again}"),
            "some and 0",
            refused > 0 && again == 0,
        ),
        Row::told(
            "for scale: the same of 20 clients that share one workspace's bucket, and so take each other's calls",
            format!("{shared_refused} and {shared_again}"),
        ),
    ]
}

/// Calls that were admitted once the burst was used up, from one to the last, and in how many seconds.
async fn knocking() -> (usize, f64) {
    let workspace = drained(KNOCKED_AT.0, CLIENTS).await;
    let begun = Instant::now();
    let knock = || async {
        let mut admitted = Vec::new();
        while begun.elapsed() < WINDOW {
            match call(&workspace).await.status.as_u16() {
                200 => admitted.push(begun.elapsed().as_secs_f64()),
                _ => sleep(KNOCK).await,
            }
        }
        admitted
    };
    let admitted = join_all((0..CLIENTS).map(|_| knock())).await.concat();
    let first = admitted.iter().copied().fold(f64::INFINITY, f64::min);
    let last = admitted.iter().copied().fold(0.0, f64::max);
    (admitted.len().saturating_sub(1), last - first)
}

/// Refusals of clients that honour them, and how many came right behind the wait.
async fn waiting(workspaces: &[Workspace]) -> (usize, usize) {
    let counts = join_all(workspaces.iter().cycle().take(CLIENTS).map(wait)).await;
    (counts.iter().map(|(refused, _)| refused).sum(), counts.iter().map(|(_, again)| again).sum())
}

async fn wait(workspace: &Workspace) -> (usize, usize) {
    let (begun, mut refused, mut again, mut waited) = (Instant::now(), 0, 0, false);
    while begun.elapsed() < WINDOW {
        let answer = call(workspace).await;
        let is_refused = answer.status == 429;
        if is_refused {
            refused += 1;
            again += usize::from(waited);
            let seconds = answer.header("retry-after").parse().expect("Retry-After in seconds");
            sleep(Duration::from_secs(seconds)).await;
        }
        waited = is_refused;
    }
    (refused, again)
}

async fn call(workspace: &Workspace) -> Answer {
    let answer = workspace.get("/v1/tools").await;
    assert!([200, 429].contains(&answer.status.as_u16()), "{}", answer.text);
    answer
}

/// A workspace whose burst so many clients have used up, so that what is admitted is the rate alone.
async fn drained(plan: &str, clients: usize) -> Workspace {
    let (workspace, begun) = (Workspace::test(plan).await, Instant::now());
    let drain = || async {
        while call(&workspace).await.status == 200 {
            assert!(begun.elapsed() < PATIENCE, "this stack answers fewer calls than the plan {plan} admits");
        }
    };
    join_all((0..clients).map(|_| drain())).await;
    workspace
}
