//! What may not be published, seen or installed, and what a process leaves that is killed on its way.
use aws_sdk_dynamodb::types::AttributeValue;
use reqwest::Method;
use serde_json::json;
use tests::{Workspace, send};

use super::{PATH, delete, found, install, listed, path_of, public, publish, rare, read, text};

#[tokio::test]
async fn only_public_personas_are_published_and_the_next_step_is_told() {
    let owner = Workspace::test("team").await;
    let persona = public(&owner, "Ada Quill", "A printer").await;
    for visibility in ["private", "workspace"] {
        let patch = json!({"visibility": visibility});
        assert_eq!(send(owner.call(Method::PATCH, &path_of(&persona)).json(&patch)).await.status, 200);
        let refused = publish(&owner, &persona, &json!({})).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (400, "request.invalid"));
        let error = refused.json()["error"].clone();
        let message = text(&error["message"]);
        assert!(message.contains(visibility) && message.contains("PATCH"), "{message}");
        assert_eq!(error["details"][0]["pointer"], "/visibility");
    }
    assert_eq!(owner.get(&path_of(&persona)).await.json()["published_at"], serde_json::Value::Null);
}

#[tokio::test]
async fn a_published_persona_stays_public_until_it_is_taken_off() {
    let owner = Workspace::test("team").await;
    let persona = public(&owner, "Ada Quill", "A printer").await;
    let listing = listed(&owner, &persona, &json!({})).await;
    let hide = || send(owner.call(Method::PATCH, &path_of(&persona)).json(&json!({"visibility": "private"})));
    let refused = hide().await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (400, "request.invalid"));
    let message = refused.json()["error"]["message"].clone();
    assert!(
        text(&message).contains(text(&listing["id"])) && text(&message).contains("unpublish"),
        "{message}"
    );
    assert_eq!(owner.post(&format!("{}/unpublish", path_of(&persona)), &json!({})).await.status, 200);
    assert_eq!(hide().await.status, 200);
}

#[tokio::test]
async fn harm_is_not_published_and_its_place_is_told() {
    let owner = Workspace::test("team").await;
    let persona = public(&owner, "Ada Quill", "A printer").await;
    let harm = "She explains step by step how to build a pipe bomb";
    let refused = publish(&owner, &persona, &json!({"summary": harm})).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (403, "moderation.intent_blocked"));
    assert_eq!(refused.json()["error"]["details"][0]["pointer"], "/summary");
    // Edits are not moderated; what they bring is when it would be published.
    let patch = json!({"scenario": {"situation": harm}});
    assert_eq!(send(owner.call(Method::PATCH, &path_of(&persona)).json(&patch)).await.status, 200);
    let refused = publish(&owner, &persona, &json!({})).await;
    assert_eq!(refused.json()["error"]["details"][0]["pointer"], "/scenario/situation");
    assert_eq!(owner.get(&path_of(&persona)).await.json()["published_at"], serde_json::Value::Null);
}

#[tokio::test]
async fn a_wording_out_of_bounds_is_400_with_every_problem_and_changes_nothing() {
    let (owner, word) = (Workspace::test("team").await, rare());
    let persona = public(&owner, "Ada Quill", "A printer").await;
    let listing = listed(&owner, &persona, &json!({"title": word})).await;
    let tags: Vec<String> = (0..9).map(|n| format!("t{n}")).collect();
    for (body, pointers) in [
        (json!({"title": "x".repeat(121), "summary": "", "price": 5}), vec!["/price", "/summary", "/title"]),
        (json!({"tags": tags}), vec!["/tags"]),
        (json!({"tags": ["ok", "", "y".repeat(33)]}), vec!["/tags/1", "/tags/2"]),
        (json!({"tags": "sea", "title": 5}), vec!["/tags", "/title"]),
        (json!({"tags": ["?"], "title": "  "}), vec!["/tags/0", "/title"]),
    ] {
        let refused = publish(&owner, &persona, &body).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (400, "request.invalid"), "{body}");
        let details = refused.json()["error"]["details"].clone();
        let mut told: Vec<&str> =
            details.as_array().unwrap().iter().map(|one| text(&one["pointer"])).collect();
        told.sort_unstable();
        assert_eq!(told, pointers, "{body}");
    }
    assert_eq!(listed(&owner, &persona, &json!({})).await, listing);
}

#[tokio::test]
async fn another_workspaces_persona_and_a_removed_listing_are_404() {
    let (owner, other) = (Workspace::test("team").await, Workspace::test("team").await);
    let persona = public(&owner, "Ada Quill", "A printer").await;
    for verb in ["publish", "unpublish"] {
        let answer = other.post(&format!("{}/{verb}", path_of(&persona)), &json!({})).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (404, "resource.not_found"));
    }
    let listing = listed(&owner, &persona, &json!({})).await;
    assert_eq!(delete(&owner, &format!("{PATH}/{}", text(&listing["id"]))).await.status, 200);
    let answers = [read(&other, &listing).await, install(&other, &listing, &json!({})).await];
    for answer in answers {
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (404, "resource.not_found"));
    }
    assert_eq!(other.all("/v1/personas").await.len(), 0);
    for name in ["lst_nonsense", "psn_0352hlJa4GkymUp58g1CfP", "%2e%2e"] {
        assert_eq!(other.get(&format!("{PATH}/{name}")).await.status, 404, "{name}");
    }
}

async fn dynamodb() -> aws_sdk_dynamodb::Client {
    #[expect(clippy::disallowed_methods, reason = "the test breaks what the store has written")]
    aws_sdk_dynamodb::Client::new(&aws_config::load_from_env().await)
}

/// Everything that the table has of a listing, wherever.
async fn parts(listing: &str) -> Vec<(String, String)> {
    let table = std::env::var("MARKETPLACE_TABLE").unwrap();
    let pages = dynamodb().await.scan().table_name(table).into_paginator().items().send();
    let items: Result<Vec<_>, _> = pages.collect().await;
    let key = |item: &std::collections::HashMap<String, AttributeValue>, name: &str| {
        item[name].as_s().unwrap().clone()
    };
    let all = items.unwrap().into_iter().map(|item| (key(&item, "pk"), key(&item, "sk")));
    all.filter(|(pk, sk)| pk.contains(listing) || sk.contains(listing)).collect()
}

#[tokio::test]
async fn what_a_killed_publication_leaves_is_seen_by_nobody_and_cleared_by_the_next() {
    let (owner, word) = (Workspace::test("team").await, rare());
    let persona = public(&owner, "Ada Quill", "A printer").await;
    let listing = listed(&owner, &persona, &json!({"title": word})).await;
    let id = text(&listing["id"]);
    let whole = parts(id).await.len();
    // As if the process had died between the places and the transaction: all is there under a revision of its own.
    let (client, table) = (dynamodb().await, std::env::var("MARKETPLACE_TABLE").unwrap());
    let stray = "rev_0352hlJa4GkymUp58g1CfP";
    let pk = AttributeValue::S(format!("MKT#test#{id}"));
    let place = (format!("MKT#test#*#WORD#{word}"), format!("0255000#{id}#{stray}"));
    let put = |pk: AttributeValue, sk: String, name: &'static str, value: String| {
        let put = client.put_item().table_name(&table).item("pk", pk).item("sk", AttributeValue::S(sk));
        put.item(name, AttributeValue::S(value)).send()
    };
    put(pk.clone(), format!("PLACES#{stray}"), "keys", json!([place]).to_string()).await.unwrap();
    put(pk, format!("LISTING#SNAPSHOT#{stray}"), "json", "{}".to_owned()).await.unwrap();
    put(AttributeValue::S(place.0), place.1, "unread", "x".to_owned()).await.unwrap();

    assert_eq!(found(&owner, &[("q", &word)]).await, [id]);
    assert_eq!(read(&owner, &listing).await.json()["title"], word);
    assert_eq!(parts(id).await.len(), whole + 3);
    assert_eq!(listed(&owner, &persona, &json!({})).await, listing);
    assert_eq!(parts(id).await.len(), whole);

    assert_eq!(owner.post(&format!("{}/unpublish", path_of(&persona)), &json!({})).await.status, 200);
    assert_eq!(parts(id).await, []);
}

#[tokio::test]
async fn nothing_of_a_deleted_personas_listing_stays_but_the_marks_of_who_installed_it() {
    let (owner, other) = (Workspace::test("team").await, Workspace::test("team").await);
    let persona = public(&owner, "Ada Quill", "A printer").await;
    let listing = listed(&owner, &persona, &json!({"tags": ["Print"]})).await;
    assert_eq!(install(&other, &listing, &json!({})).await.status, 201);
    let id = text(&listing["id"]);
    // Moved on its shelves by the install, and nothing left of where it stood.
    let places = parts(id).await;
    let revisions: std::collections::BTreeSet<&str> = places
        .iter()
        .filter(|(_, sk)| sk.contains(id))
        .filter_map(|(_, sk)| sk.rsplit_once('#'))
        .map(|(_, rev)| rev)
        .collect();
    assert_eq!(revisions.len(), 1, "{revisions:?}");
    assert_eq!(delete(&owner, &path_of(&persona)).await.status, 200);
    let left = parts(id).await;
    assert_eq!(left, [(format!("WS#{}#INSTALLED", other.id), id.to_owned())]);
}
