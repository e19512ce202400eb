//! `POST /v1/personas/{persona}/publish` and `/unpublish`, and reading a listing.
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Workspace, least_requests, send};

use super::{PATH, delete, found, listed, path_of, public, publish, rare, read, text};

#[tokio::test]
async fn a_listing_shows_the_character_and_nothing_that_is_private() {
    let (owner, reader) = (Workspace::test("team").await, Workspace::test("team").await);
    let intent = "A 61-year-old bookseller from Istanbul who mends watches";
    let body =
        json!({"intent": intent, "visibility": "public", "metadata": {"ticket": "private-4711"}, "seed": 5});
    let persona = owner.post("/v1/personas", &body).await.json();
    let tags = json!({"tags": ["Slice of life"]});
    let answer = publish(&owner, &persona, &tags).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let listing = answer.json();
    assert_eq!(answer.header("location"), format!("{PATH}/{}", text(&listing["id"])));
    assert_eq!(listing["title"], persona["identity"]["name"]);
    assert_eq!(listing["summary"], persona["identity"]["summary"]);
    assert_eq!(
        (&listing["tags"], &listing["version"], &listing["installs"]),
        (&tags["tags"], &json!(1), &json!(0))
    );
    assert_eq!(listing["owned"], true);

    let answer = read(&reader, &listing).await;
    let again = |_| reader.call(Method::GET, &format!("{PATH}/{}", text(&listing["id"])));
    assert_eq!(least_requests(again).await, 2);
    let seen = answer.json();
    assert_eq!(seen["owned"], false);
    for layer in ["identity", "soul", "voice", "history", "relations", "knowledge", "boundaries", "scenario"]
    {
        assert_eq!(seen["persona"][layer], persona[layer], "{layer}");
    }
    let run = text(&persona["lineage"]["run_id"]);
    for private in [owner.id.as_str(), text(&persona["id"]), run, "private-4711", intent, "key_", "psn_"] {
        assert!(!answer.text.contains(private), "{private}: {}", answer.text);
    }
}

#[tokio::test]
async fn publication_is_known_of_the_persona_and_makes_no_version() {
    let owner = Workspace::test("team").await;
    let persona = public(&owner, "Ada Quill", "A printer").await;
    let path = path_of(&persona);
    assert_eq!(persona["published_at"], Value::Null);
    let listing = listed(&owner, &persona, &json!({})).await;
    let published = owner.get(&path).await.json();
    assert_eq!((&published["published_at"], &published["version"]), (&listing["updated_at"], &json!(1)));
    assert_eq!(owner.get("/v1/personas").await.json()["data"][0]["published_at"], listing["updated_at"]);
    let patched = send(owner.call(Method::PATCH, &path).json(&json!({"metadata": {"a": "b"}}))).await.json();
    assert_eq!((&patched["published_at"], &patched["version"]), (&listing["updated_at"], &json!(2)));
    assert_eq!(owner.get(&format!("{path}?version=1")).await.json()["published_at"], listing["updated_at"]);
    // What was pulled goes back unchanged.
    let put = send(owner.call(Method::PUT, &path).json(&patched)).await;
    assert_eq!((put.status.as_u16(), put.json()), (200, patched));

    let unpublished = owner.post(&format!("{path}/unpublish"), &json!({})).await;
    assert_eq!((unpublished.status.as_u16(), &unpublished.json()["published_at"]), (200, &Value::Null));
    assert_eq!(owner.get(&path).await.json()["published_at"], Value::Null);
    assert_eq!(read(&owner, &listing).await.status, 404);
    assert_eq!(owner.post(&format!("{path}/unpublish"), &json!({})).await.status, 200);
}

#[tokio::test]
async fn an_edit_does_not_leak_until_it_is_published_again() {
    let (owner, reader) = (Workspace::test("team").await, Workspace::test("team").await);
    let (before, after) = (rare(), rare());
    let persona = public(&owner, "Ada Quill", &format!("A printer {before}")).await;
    let listing = listed(&owner, &persona, &json!({"tags": ["Print"]})).await;
    let id = text(&listing["id"]);
    let patch = json!({"identity": {"summary": format!("A binder {after}")}});
    let edited = send(owner.call(Method::PATCH, &path_of(&persona)).json(&patch)).await;
    assert_eq!(edited.status, 200, "{}", edited.text);
    assert_eq!(read(&reader, &listing).await.json()["persona"]["identity"], persona["identity"]);
    assert_eq!(
        (found(&reader, &[("q", &before)]).await, found(&reader, &[("q", &after)]).await),
        (vec![id.to_owned()], vec![])
    );

    let again = publish(&owner, &persona, &json!({})).await;
    assert_eq!(again.status, 200, "{}", again.text);
    let again = again.json();
    assert_eq!(
        (&again["id"], &again["version"], &again["tags"]),
        (&listing["id"], &json!(2), &json!(["Print"]))
    );
    assert_eq!(again["created_at"], listing["created_at"]);
    assert_eq!(
        read(&reader, &listing).await.json()["persona"]["identity"]["summary"],
        patch["identity"]["summary"]
    );
    assert_eq!(
        (found(&reader, &[("q", &before)]).await, found(&reader, &[("q", &after)]).await),
        (vec![], vec![id.to_owned()])
    );
}

#[tokio::test]
async fn publishing_the_same_again_changes_nothing() {
    let owner = Workspace::test("team").await;
    let persona = public(&owner, "Ada Quill", "A printer").await;
    let body = json!({"title": "The Printer", "tags": ["Print", "print"]});
    let first = listed(&owner, &persona, &body).await;
    assert_eq!(first["tags"], json!(["Print"]));
    for same in [json!({}), body, json!({"title": "The  Printer "})] {
        assert_eq!(listed(&owner, &persona, &same).await, first, "{same}");
    }
    let own = listed(&owner, &persona, &json!({"title": null})).await;
    assert_eq!((&own["title"], &own["version"]), (&json!("Ada Quill"), &json!(2)));
    // Without a body at all.
    let request = owner.call(Method::POST, &format!("{}/publish", path_of(&persona)));
    assert_eq!(send(request).await.json(), own);
}

#[tokio::test]
async fn many_publications_at_once_leave_one_listing_that_is_whole() {
    let (owner, word) = (Workspace::test("team").await, rare());
    let persona = public(&owner, "Ada Quill", "A printer").await;
    let titles: Vec<Value> = (0..6).map(|n| json!({"title": format!("{word} number{n}")})).collect();
    let answers =
        futures_util::future::join_all(titles.iter().map(|body| publish(&owner, &persona, body))).await;
    for answer in &answers {
        assert!(answer.status.is_success(), "{}", answer.text);
    }
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    let ids: Vec<Value> = answers.iter().map(|answer| answer.json()["id"].clone()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let shown = read(&owner, &answers[0].json()).await.json();
    let number = text(&shown["title"]).rsplit(' ').next().unwrap();
    assert_eq!(found(&owner, &[("q", &word)]).await, [text(&ids[0])]);
    assert_eq!(found(&owner, &[("q", &format!("{word} {number}"))]).await, [text(&ids[0])]);
}

#[tokio::test]
async fn an_edit_and_a_publication_at_once_are_both_kept() {
    let owner = Workspace::test("team").await;
    let persona = public(&owner, "Ada Quill", "A printer").await;
    let path = path_of(&persona);
    let edits = (0..5)
        .map(|n| send(owner.call(Method::PATCH, &path).json(&json!({"metadata": {(format!("n{n}")): "x"}}))));
    let none = json!({});
    let (edited, published) =
        futures_util::future::join(futures_util::future::join_all(edits), publish(&owner, &persona, &none))
            .await;
    assert!(edited.iter().all(|answer| answer.status == 200));
    assert_eq!(published.status, 201, "{}", published.text);
    let now = owner.get(&path).await.json();
    assert_eq!(now["published_at"], published.json()["updated_at"]);
    assert_eq!((0..5).filter(|n| now["metadata"][format!("n{n}")] == "x").count(), 5, "{now}");
}

#[tokio::test]
async fn a_deleted_persona_takes_its_listing_with_it() {
    let (owner, word) = (Workspace::test("team").await, rare());
    let persona = public(&owner, "Ada Quill", "A printer").await;
    let listing = listed(&owner, &persona, &json!({"title": word})).await;
    assert_eq!(delete(&owner, &path_of(&persona)).await.status, 200);
    assert_eq!(read(&owner, &listing).await.status, 404);
    assert_eq!(found(&owner, &[("q", &word)]).await, Vec::<String>::new());
}

#[tokio::test]
async fn the_owner_takes_a_listing_off_and_nobody_else() {
    let (owner, other, word) = (Workspace::test("team").await, Workspace::test("team").await, rare());
    let persona = public(&owner, "Ada Quill", "A printer").await;
    let listing = listed(&owner, &persona, &json!({"title": word})).await;
    let path = format!("{PATH}/{}", text(&listing["id"]));
    assert_eq!(delete(&other, &path).await.code(), "resource.not_found");
    assert_eq!(found(&other, &[("q", &word)]).await, [text(&listing["id"])]);
    let deleted = delete(&owner, &path).await;
    assert_eq!(deleted.json(), json!({"id": listing["id"], "object": "listing", "deleted": true}));
    assert_eq!(found(&other, &[("q", &word)]).await, Vec::<String>::new());
    assert_eq!(owner.get(&path_of(&persona)).await.json()["published_at"], Value::Null);
    assert_eq!(delete(&owner, &path).await.status, 404);
    let new = listed(&owner, &persona, &json!({})).await;
    assert_ne!(new["id"], listing["id"]);
}

#[tokio::test]
async fn live_and_test_workspaces_have_a_marketplace_each() {
    let (test, live, word) = (Workspace::test("team").await, Workspace::live("team").await, rare());
    let listing =
        listed(&test, &public(&test, "Ada Quill", "A printer").await, &json!({"title": word})).await;
    assert_eq!(read(&live, &listing).await.status, 404);
    assert_eq!(found(&live, &[("q", &word)]).await, Vec::<String>::new());
    let own = listed(&live, &public(&live, "Ada Quill", "A printer").await, &json!({"title": word})).await;
    assert_eq!(found(&live, &[("q", &word)]).await, [text(&own["id"])]);
    assert_eq!(found(&test, &[("q", &word)]).await, [text(&listing["id"])]);
}
