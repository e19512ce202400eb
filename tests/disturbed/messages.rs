//! Messages that come twice, late, out of order, or that nobody of this system sent.
#![expect(clippy::disallowed_methods, reason = "what this system would not send is sent by hand")]

use std::{env, time::Duration};

use aws_sdk_sqs::Client;
use serde_json::{Value, json};
use tests::{
    Workspace,
    support::{
        provider::shared,
        runs::{assert_sound, begin, ended},
    },
};

const PATIENCE: Duration = Duration::from_mins(2);

pub(super) async fn sqs() -> Client {
    Client::new(&aws_config::load_from_env().await)
}

fn url(name: &str) -> String {
    env::var(name).expect("the stack is not running")
}

pub(super) async fn send_to(client: &Client, queue: &str, body: impl Into<String>) {
    client.send_message().queue_url(url(queue)).message_body(body).send().await.unwrap();
}

async fn send(client: &Client, body: impl Into<String>) {
    send_to(client, "STEPS_QUEUE_URL", body).await;
}

fn message(workspace: &Workspace, run: &str, step: &str) -> String {
    json!({"workspace": workspace.id, "run": run, "step": step}).to_string()
}

async fn run_with_seed(workspace: &Workspace, seed: u64) -> String {
    shared();
    let body = json!({"intent": "A 64-year-old scientist from London who loves hiking", "seed": seed, "budget_usd": 0.4});
    begin(workspace, &body).await
}

fn step_names(run: &Value) -> Vec<String> {
    run["steps"].as_array().unwrap().iter().map(|step| step["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn steps_sent_twice_too_early_and_too_late_are_done_once() {
    let (workspace, client) = (Workspace::live("team").await, sqs().await);
    let id = run_with_seed(&workspace, 20_001).await;
    let names = step_names(&workspace.get(&format!("/v1/runs/{id}")).await.json());
    for _ in 0..3 {
        for name in names.iter().rev() {
            send(&client, message(&workspace, &id, name)).await;
        }
    }
    let run = ended(&workspace, &id, PATIENCE).await;
    assert_eq!(run["status"], "completed", "{run}");
    let before = workspace.get(&format!("/v1/runs/{id}/events")).await.text;
    for name in &names {
        send(&client, message(&workspace, &id, name)).await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(
        workspace.get(&format!("/v1/runs/{id}/events")).await.text,
        before,
        "an ended run was touched"
    );
    let after = workspace.get(&format!("/v1/runs/{id}")).await.json();
    assert_eq!((&after["cost_usd"], &after["steps"]), (&run["cost_usd"], &run["steps"]));
    assert_sound(&workspace, &run, &shared().sold(20_001)).await;
}

#[tokio::test]
async fn forged_messages_change_nothing_delay_nobody_and_end_in_the_dead_letter_queue() {
    let (workspace, other, client) =
        (Workspace::live("team").await, Workspace::live("team").await, sqs().await);
    let id = run_with_seed(&workspace, 20_002).await;
    let poison = [
        "poison: not JSON".to_owned(),
        json!(["poison"]).to_string(),
        json!({"poison": true, "workspace": workspace.id, "run": id, "step": "soul_draft"}).to_string(),
        json!({"workspace": "ws_poison", "run": id, "step": "soul_draft"}).to_string(),
        format!("poison {}", "x".repeat(200_000)),
    ];
    for body in &poison {
        send(&client, body.clone()).await;
    }
    // Well formed, but of nobody's run, of another's run, and of no step.
    send(&client, message(&workspace, "run_0352hlJa4GkymUp58g1CfP", "soul_draft")).await;
    send(&client, message(&other, &id, "soul_draft")).await;
    send(&client, message(&workspace, &id, "no_such_step")).await;
    let run = ended(&workspace, &id, PATIENCE).await;
    assert_eq!(run["status"], "completed", "{run}");
    assert_sound(&workspace, &run, &shared().sold(20_002)).await;
    assert_eq!(other.get(&format!("/v1/runs/{id}")).await.status.as_u16(), 404);
    let dead = dead_letters(&client, "STEPS_DEAD_LETTER_QUEUE_URL", poison.len()).await;
    for body in &poison {
        assert!(dead.contains(body), "{} is not among the dead letters", &body[..body.len().min(60)]);
    }
}

/// Bodies in a dead-letter queue, once there are so many of the forged ones.
pub(super) async fn dead_letters(client: &Client, queue: &str, wanted: usize) -> Vec<String> {
    let mut bodies: Vec<String> = Vec::new();
    let looking = async {
        while bodies.iter().filter(|body| body.contains("poison")).count() < wanted {
            let received = client
                .receive_message()
                .queue_url(url(queue))
                .max_number_of_messages(10)
                .wait_time_seconds(2)
                .visibility_timeout(600)
                .send()
                .await
                .unwrap();
            bodies
                .extend(received.messages.unwrap_or_default().into_iter().filter_map(|message| message.body));
        }
    };
    let _ = tokio::time::timeout(PATIENCE, looking).await;
    bodies
}
