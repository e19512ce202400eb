//! What no call causes, and what the reaper tells of: keys that end soon, budgets that are nearly spent.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    Workspace, reap, send,
    support::{provider::shared, receiver::Receiver},
};

use super::{BRIEF, SOON, patch, text, told, told::first};

const DAY_MILLIS: i64 = 86_400_000;
/// As tests/support/providers.json says, in micro-dollars a token.
const EMBEDDING_PRICE: i64 = 100;

/// When the reaper looks at a key, which lies in the table of webhooks.
struct Reminder {
    client: Client,
    table: String,
    key: HashMap<String, AttributeValue>,
}

impl Reminder {
    async fn of(workspace: &Workspace, key: &Value) -> Self {
        #[expect(clippy::disallowed_methods, reason = "a day is made to pass")]
        let client = Client::new(&aws_config::load_from_env().await);
        let partition = format!("WS#{}#KEY#{}", workspace.id, text(&key["id"]));
        let key = [("pk", partition), ("sk", "ENDS".to_owned())];
        let key = key.map(|(name, value)| (name.to_owned(), AttributeValue::S(value))).into();
        Self { client, table: std::env::var("WEBHOOKS_TABLE").unwrap(), key }
    }

    /// Days from now; `None` where nobody looks any more.
    async fn days_left(&self) -> Option<f64> {
        let read = self.client.get_item().table_name(&self.table).set_key(Some(self.key.clone()));
        let item = read.consistent_read(true).send().await.unwrap().item?;
        let due: i64 = item["active_due"].as_n().unwrap().parse().unwrap();
        Some((due - now_millis()) as f64 / DAY_MILLIS as f64)
    }

    async fn has_come(&self) {
        let update = self.client.update_item().table_name(&self.table).set_key(Some(self.key.clone()));
        let due = AttributeValue::N(now_millis().to_string());
        let update =
            update.update_expression("SET active_due = :due").expression_attribute_values(":due", due);
        update.send().await.unwrap();
    }
}

fn now_millis() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

async fn key(workspace: &Workspace, days: u64) -> Value {
    let body = json!({"name": "nightly job", "scopes": ["read"], "expires_in_days": days});
    let answer = workspace.post("/v1/keys", &body).await;
    assert_eq!(answer.status.as_u16(), 201, "{}", answer.text);
    answer.json()
}

/// The reaper is called several times at once, and what it has to say has arrived.
async fn swept() {
    join_all((0..3).map(|_| reap())).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
}

#[tokio::test]
async fn a_key_that_ends_soon_is_told_of_once_a_day_and_another_takes_its_place() {
    let (workspace, receiver) = (Workspace::test("team").await, Receiver::willing().await);
    told(&workspace, &receiver, &["key.expiring"]).await;
    let (short, long) = (key(&workspace, 13).await, key(&workspace, 90).await);
    let warned = workspace.through(&text(&short["secret"])).get("/v1/workspace").await;
    assert_eq!(json!(warned.header("persona-key-expires")), short["expires_at"]);
    swept().await;
    let event = first(&receiver, "key.expiring").await;
    let data = json!({
        "key_id": short["id"], "name": "nightly job", "masked": short["masked"], "expires_at": short["expires_at"],
    });
    assert_eq!(event["data"], data);
    swept().await;
    assert_eq!(receiver.received().len(), 1, "once a day is enough, and the other key has time");
    let (of_short, of_long) = (Reminder::of(&workspace, &short).await, Reminder::of(&workspace, &long).await);
    let (next, later) = (of_short.days_left().await.unwrap(), of_long.days_left().await.unwrap());
    assert!((0.99..=1.0).contains(&next) && (75.9..=76.0).contains(&later), "{next} and {later}");

    of_short.has_come().await;
    of_long.has_come().await;
    swept().await;
    assert!(receiver.until(SOON, |received| received.len() == 3).await);
    let keys: Vec<Value> =
        receiver.received()[1..].iter().map(|each| each.json()["data"]["key_id"].clone()).collect();
    assert!(keys.contains(&short["id"]) && keys.contains(&long["id"]), "{keys:?}");

    let rotate = format!("/v1/keys/{}/rotate", text(&short["id"]));
    assert_eq!(workspace.post(&rotate, &json!({"grace_seconds": 600})).await.status.as_u16(), 201);
    let revoke = format!("/v1/keys/{}", text(&long["id"]));
    assert_eq!(send(workspace.call(Method::DELETE, &revoke)).await.status.as_u16(), 200);
    of_short.has_come().await;
    of_long.has_come().await;
    swept().await;
    assert_eq!(receiver.received().len(), 3, "nobody needs to be told of what is used no more");
    assert_eq!((of_short.days_left().await, of_long.days_left().await), (None, None));
}

fn micros(usd: &Value) -> i64 {
    (usd.as_f64().unwrap() * 1e6).round() as i64
}

async fn spent(workspace: &Workspace) -> i64 {
    micros(&workspace.get("/v1/usage").await.json()["total"]["cost_usd"])
}

async fn capped(workspace: &Workspace, micros: i64) {
    let body = json!({"monthly_budget_usd": micros as f64 / 1e6});
    let answer = patch(workspace, "/v1/workspace", &body).await;
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text);
}

/// Share and budget of each event, in the order of their coming.
fn shares(receiver: &Receiver) -> Vec<(f64, i64)> {
    let of = |data: &Value| (data["threshold"].as_f64().unwrap(), micros(&data["budget_usd"]));
    receiver.received().iter().map(|each| of(&each.json()["data"])).collect()
}

#[tokio::test]
async fn each_threshold_of_a_months_budget_is_told_of_once() {
    shared();
    let (workspace, receiver) = (Workspace::live("enterprise").await, Receiver::willing().await);
    told(&workspace, &receiver, &["budget.threshold_reached"]).await;
    let persona = workspace.persona(BRIEF).await;
    let begun = workspace.post("/v1/chat/conversations", &json!({"persona_id": persona["id"]})).await.json();
    let turns = format!("/v1/chat/conversations/{}/messages", text(&begun["id"]));
    let turn = || async {
        let answer = workspace.post(&turns, &json!({"message": "Good evening"})).await;
        assert_eq!(answer.status.as_u16(), 200, "{}", answer.text);
        micros(&answer.json()["cost_usd"])
    };
    // A dollar, so that there is room for the worst case of a turn.
    let texts = json!({"model": "sandbox-1", "input": "word ".repeat(8_000)});
    let answer = workspace.post("/v1/openai/embeddings", &texts).await.json();
    assert_eq!(micros(&answer["persona"]["cost_usd"]), 10_000 * EMBEDDING_PRICE);
    turn().await;
    let (of_turn, before) = (turn().await, spent(&workspace).await);
    // Half a turn below what is 80 % when rounded.
    let budget = (before + of_turn / 2) * 1_000 / 795;
    capped(&workspace, budget).await;
    swept().await;
    assert_eq!(shares(&receiver), []);
    turn().await;
    swept().await;
    let data = first(&receiver, "budget.threshold_reached").await["data"].clone();
    assert_eq!((&data["threshold"], micros(&data["budget_usd"])), (&json!(0.8), budget));
    let now = spent(&workspace).await;
    assert_eq!(
        (micros(&data["spent_usd"]), &data["month"]),
        (now, &json!(text(&persona["created_at"])[..7]))
    );
    turn().await;
    swept().await;
    assert_eq!(shares(&receiver).len(), 1, "once is enough");
    // Another budget has its own thresholds, and this one passes both at one stroke.
    let less = spent(&workspace).await;
    capped(&workspace, less).await;
    swept().await;
    assert!(receiver.until(SOON, |received| received.len() == 3).await, "{:?}", shares(&receiver));
    let all = shares(&receiver);
    assert!(all.contains(&(0.8, less)) && all.contains(&(1.0, less)), "{all:?}");
}
