//! `POST /v1/marketplace/personas/{listing}/install`.
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Workspace, send};

use super::{PATH, delete, found, install, listed, path_of, public, rare, read, text};

#[tokio::test]
async fn a_copy_is_a_persona_of_its_own_that_names_its_listing() {
    let (owner, other) = (Workspace::test("team").await, Workspace::test("team").await);
    let persona = public(&owner, "Ada Quill", "A printer").await;
    let listing = listed(&owner, &persona, &json!({"summary": "Prints at night"})).await;
    let answer = install(&other, &listing, &json!({})).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("etag")),
        (201, "\"v1\"".to_owned()),
        "{}",
        answer.text
    );
    let copy = answer.json();
    assert_eq!(answer.header("location"), path_of(&copy));
    assert_eq!(other.get(&path_of(&copy)).await.json(), copy);
    assert_eq!(copy["lineage"]["forked_from"], json!({"listing_id": listing["id"], "version": 1}));
    assert_eq!(
        (&copy["slug"], &copy["visibility"], &copy["intent"]),
        (&json!("ada-quill"), &json!("private"), &json!("Prints at night"))
    );
    for layer in ["identity", "soul", "voice", "history", "relations", "knowledge", "boundaries", "scenario"]
    {
        assert_eq!(copy[layer], persona[layer], "{layer}");
    }
    assert_eq!(copy["lineage"]["digest"], persona["lineage"]["digest"]);
    assert_eq!((&copy["workspace_id"], &copy["metadata"]), (&json!(other.id), &json!({})));
    for private in [owner.id.as_str(), text(&persona["id"])] {
        assert!(!answer.text.contains(private), "{private}");
    }
    // It can be spoken to and edited, and stays when the listing goes.
    let begun = other.post("/v1/chat/conversations", &json!({"persona_id": copy["id"]})).await;
    assert_eq!(begun.status, 201, "{}", begun.text);
    assert_eq!(delete(&owner, &format!("{PATH}/{}", text(&listing["id"]))).await.status, 200);
    let edited = send(other.call(Method::PATCH, &path_of(&copy)).json(&json!({"slug": "mine"}))).await;
    assert_eq!((edited.status.as_u16(), &edited.json()["lineage"]), (200, &copy["lineage"]));
}

#[tokio::test]
async fn two_installs_are_two_copies_and_count_once_and_the_owners_own_not_at_all() {
    let (owner, one, two) =
        (Workspace::test("team").await, Workspace::test("team").await, Workspace::test("team").await);
    let listing = listed(&owner, &public(&owner, "Ada Quill", "A printer").await, &json!({})).await;
    let mut slugs = Vec::new();
    for workspace in [&one, &one, &owner, &two] {
        let answer = install(workspace, &listing, &json!({})).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        slugs.push(text(&answer.json()["slug"]).to_owned());
    }
    assert_eq!(slugs, ["ada-quill", "ada-quill-2", "ada-quill-2", "ada-quill"]);
    assert_eq!(read(&one, &listing).await.json()["installs"], 2);
}

#[tokio::test]
async fn installs_at_once_are_each_counted_and_each_get_a_slug() {
    let (owner, word) = (Workspace::test("team").await, rare());
    let listing =
        listed(&owner, &public(&owner, "Ada Quill", "A printer").await, &json!({"title": word})).await;
    let mut workspaces = Vec::new();
    for _ in 0..5 {
        workspaces.push(Workspace::test("team").await);
    }
    let none = json!({});
    // Each workspace twice.
    let all = workspaces.iter().chain(&workspaces).map(|workspace| install(workspace, &listing, &none));
    for answer in futures_util::future::join_all(all).await {
        assert_eq!(answer.status, 201, "{}", answer.text);
    }
    assert_eq!(read(&owner, &listing).await.json()["installs"], 5);
    assert_eq!(found(&owner, &[("q", &word)]).await, [text(&listing["id"])]);
    for workspace in &workspaces {
        let copies = workspace.all("/v1/personas").await;
        assert_eq!(copies.len(), 2);
        assert_ne!(copies[0]["slug"], copies[1]["slug"]);
    }
}

#[tokio::test]
async fn what_is_installed_more_is_found_first() {
    let (owner, other, tag) = (Workspace::test("team").await, Workspace::test("team").await, rare());
    let mut ids = Vec::new();
    for name in ["Ada Quill", "Ada Quill", "Ada Quill"] {
        let listing = listed(&owner, &public(&owner, name, "A printer").await, &json!({"tags": [tag]})).await;
        ids.push(listing);
    }
    assert_eq!(install(&other, &ids[1], &json!({})).await.status, 201);
    let id = |at: usize| text(&ids[at]["id"]).to_owned();
    let wanted = vec![id(1), id(2), id(0)];
    for sort in ["popularity", "relevance"] {
        let query = [("q", "quill"), ("tag", &tag), ("sort", sort)];
        assert_eq!(found(&other, &query).await, wanted, "{sort}");
    }
    assert_eq!(found(&other, &[("tag", &tag)]).await, wanted);
    assert_eq!(found(&other, &[("tag", &tag), ("sort", "newest")]).await, [id(2), id(1), id(0)]);
}

#[tokio::test]
async fn a_wanted_slug_is_taken_or_refused() {
    let (owner, other) = (Workspace::test("team").await, Workspace::test("team").await);
    let listing = listed(&owner, &public(&owner, "Ada Quill", "A printer").await, &json!({})).await;
    let wanted = json!({"slug": "my-ada", "visibility": "workspace"});
    let copy = install(&other, &listing, &wanted).await.json();
    assert_eq!((&copy["slug"], &copy["visibility"]), (&json!("my-ada"), &json!("workspace")));
    let refused = install(&other, &listing, &wanted).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "persona.slug_taken"));
    assert_eq!(read(&other, &listing).await.json()["installs"], 1);
    let wrong = install(&other, &listing, &json!({"slug": "import"})).await;
    assert_eq!(wrong.json()["error"]["param"], "slug");
    assert_eq!(other.all("/v1/personas").await.len(), 1);
}

#[tokio::test]
async fn a_copy_that_is_published_names_no_listing_before_it() {
    let (owner, other) = (Workspace::test("team").await, Workspace::test("team").await);
    let listing = listed(&owner, &public(&owner, "Ada Quill", "A printer").await, &json!({})).await;
    let copy = install(&other, &listing, &json!({"visibility": "public"})).await.json();
    let own = listed(&other, &copy, &json!({})).await;
    let answer = read(&owner, &own).await;
    assert_eq!(answer.json()["owned"], Value::Bool(false));
    assert!(!answer.text.contains(text(&listing["id"])), "{}", answer.text);
}
