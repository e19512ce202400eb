//! A conversation of thousands of turns is as quick, and as bounded, as a short one.
#![expect(clippy::disallowed_methods, reason = "thousands of turns are laid down in the table itself")]

use std::{collections::HashMap, env};

use aws_sdk_dynamodb::{
    Client,
    types::{AttributeValue, PutRequest, WriteRequest},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use persona::id::MessageId;
use serde_json::{Value, json};
use tests::Workspace;

use super::{begun, messages_path, path, say};

const TURNS: usize = 4_000;

type Item = HashMap<String, AttributeValue>;

fn table() -> String {
    env::var("CONVERSATIONS_TABLE").expect("the stack is not running")
}

fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

fn number(value: usize) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// Repeats a conversation's one turn until it has [`TURNS`], each message with an id and a number of its own.
async fn lay_down(workspace: &Workspace, conversation: &Value) {
    let client = Client::new(&aws_config::load_from_env().await);
    let partition = format!("WS#{}#CONV#{}", workspace.id, conversation["id"].as_str().unwrap());
    let messages = client
        .query()
        .table_name(table())
        .key_condition_expression("pk = :pk")
        .expression_attribute_values(":pk", text(format!("{partition}#MESSAGES")));
    let turn = messages.send().await.unwrap().items.unwrap();
    assert_eq!(turn.len(), 2, "{turn:?}");
    let numbers: Vec<usize> = (turn.len() + 1..=2 * TURNS).collect();
    let copies = numbers.chunks(25).map(|numbers| {
        let copy = |at: &usize| {
            let mut item: Item = turn[(at - 1) % 2].clone();
            item.insert("sk".to_owned(), text(format!("{at:010}")));
            item.insert("number".to_owned(), number(*at));
            item.insert("id".to_owned(), text(MessageId::new().to_string()));
            let put = PutRequest::builder().set_item(Some(item)).build().unwrap();
            WriteRequest::builder().put_request(put).build()
        };
        client.batch_write_item().request_items(table(), numbers.iter().map(copy).collect()).send()
    });
    let written: Vec<_> = stream::iter(copies).buffer_unordered(4).try_collect().await.unwrap();
    assert!(written.iter().all(|batch| batch.unprocessed_items.as_ref().is_none_or(HashMap::is_empty)));
    let header = client
        .update_item()
        .table_name(table())
        .key("pk", text(&partition))
        .key("sk", text("CONV"))
        .condition_expression("attribute_exists(pk)")
        .update_expression("SET last_message = :last, turns = :turns")
        .expression_attribute_values(":last", number(2 * TURNS))
        .expression_attribute_values(":turns", number(TURNS));
    header.send().await.unwrap();
}

#[tokio::test]
async fn a_conversation_of_four_thousand_turns_answers_within_the_same_limits() {
    let workspace = Workspace::test("enterprise").await;
    let (_, conversation) = begun(&workspace, json!({})).await;
    let short = say(&workspace, &conversation, "What did you do today?").await;
    lay_down(&workspace, &conversation).await;
    let mut prompts = Vec::new();
    for message in ["Do you remember me?", "And what did I ask you first?"] {
        let answer = workspace.post(&messages_path(&conversation), &json!({"message": message})).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert!(answer.store_requests() <= 6, "{} requests", answer.store_requests());
        prompts.push(answer.json()["tokens"]["in"].as_u64().unwrap());
    }
    // Notes on what left the window are written once, beside the first answer.
    let alone = short["tokens"]["in"].as_u64().unwrap();
    assert!(prompts.iter().all(|tokens| *tokens < 4 * alone + 8_000), "{prompts:?}, the first turn {alone}");
    let header = workspace.get(&path(&conversation)).await.json();
    assert_eq!(header["turns"], TURNS + 2);
}

#[tokio::test]
async fn all_of_four_thousand_turns_can_be_read_page_by_page() {
    let workspace = Workspace::test("enterprise").await;
    let (_, conversation) = begun(&workspace, json!({})).await;
    let first = say(&workspace, &conversation, "What did you do today?").await;
    lay_down(&workspace, &conversation).await;
    let messages = workspace.all(&messages_path(&conversation)).await;
    assert_eq!(messages.len(), 2 * TURNS);
    assert_eq!(messages[2 * TURNS - 2]["id"], first["message_id"]);
    assert_eq!(messages[2 * TURNS - 1]["content"], "What did you do today?");
    let page = workspace.get(&format!("{}/drift?limit=100", path(&conversation))).await.json();
    assert_eq!((page["data"].as_array().unwrap().len(), &page["has_more"]), (100, &json!(true)), "{page}");
}
