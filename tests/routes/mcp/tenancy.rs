//! What is another workspace's, or another key's own, is answered as what does not exist.

use serde_json::{Value, json};
use tests::{Workspace, send};

use super::{BRIEF, Host, chat_tool, messages, names, text};

/// The whole answer, without what differs between any two.
async fn plain(host: &Host<'_>, method: &str, params: Value, name: &str) -> String {
    let answer = send(host.request(1, method, params)).await;
    let mut message = messages(&answer).pop().unwrap();
    for pointer in ["/error/data/error/request_id", "/result/structuredContent/error/request_id"] {
        if let Some(id) = message.pointer_mut(pointer) {
            *id = Value::Null;
        }
    }
    format!("{} {message}", answer.status).replace(name, "NAME")
}

/// A method, its parameters of an id and a tool, an id of another workspace's, and one of nobody's.
type Ask<'a> = (&'a str, fn(&str, &str) -> Value, &'a str, &'a str);

#[tokio::test]
async fn another_workspaces_persona_prompt_resource_and_conversation_do_not_exist() {
    let (owner, stranger) = (Workspace::test("team").await, Workspace::test("team").await);
    let persona = owner.persona(BRIEF).await;
    let said = Host::of(&owner).made(&chat_tool(&persona), json!({"message": "Good evening"})).await;
    let own = stranger.persona("A 30-year-old baker from Leeds").await;
    let host = Host::of(&stranger);
    let (id, none) = (text(&persona["id"]), "psn_0352hlJa4GkymUp58g1CfP".to_owned());
    let (conversation, no_conversation) =
        (text(&said["conversation_id"]), "conv_0352hlJa4GkymUp58g1CfP".to_owned());
    let asks: [Ask<'_>; 6] = [
        ("resources/read", |id, _| json!({"uri": format!("persona://{id}")}), &id, &none),
        ("prompts/get", |id, _| json!({"name": id}), &id, &none),
        ("tools/call", |id, _| json!({"name": "get_persona", "arguments": {"persona": id}}), &id, &none),
        (
            "tools/call",
            |id, _| json!({"name": format!("chat_with_{id}"), "arguments": {"message": "Hello"}}),
            &id,
            &none,
        ),
        (
            "tools/call",
            |id, own| json!({"name": own, "arguments": {"message": "Hello", "conversation_id": id}}),
            &conversation,
            &no_conversation,
        ),
        (
            "tools/call",
            |id, own| json!({"name": own, "arguments": {"message": "Hello", "conversation_id": id}}),
            &conversation,
            "conv_short",
        ),
    ];
    let tool = chat_tool(&own);
    for (method, ask, foreign, unknown) in asks {
        let (theirs, nobodys) = (
            plain(&host, method, ask(foreign, &tool), foreign).await,
            plain(&host, method, ask(unknown, &tool), unknown).await,
        );
        assert_eq!(theirs, nobodys, "{method}");
        assert!(theirs.contains("resource.not_found"), "{theirs}");
    }
    assert_eq!(names(&host.all("prompts/list", "prompts").await), [text(&own["slug"])]);
}

#[tokio::test]
async fn private_personas_and_conversations_are_their_keys_own() {
    let owner = Workspace::test("team").await;
    let (mine, other) = (
        owner.with_key(&["read", "write", "chat"], None).await,
        owner.with_key(&["read", "chat"], None).await,
    );
    let persona = mine.persona(BRIEF).await;
    let talk = chat_tool(&persona);
    let said = Host::of(&mine).made(&talk, json!({"message": "Good evening"})).await;
    let listed = |key: &Workspace| {
        let key = key.through(&key.key);
        async move { names(&Host::of(&key).all("tools/list", "tools").await) }
    };
    assert!(listed(&mine).await.contains(&talk) && listed(&owner).await.contains(&talk));
    assert!(!listed(&other).await.contains(&talk));
    let host = Host::of(&other);
    assert!(host.all("prompts/list", "prompts").await.is_empty());
    assert!(host.all("resources/list", "resources").await.is_empty());
    assert_eq!(host.made("list_personas", json!({})).await["personas"], json!([]));
    let call = json!({"name": talk, "arguments": {"message": "Hello"}});
    assert_eq!(host.error("tools/call", call).await.1, "resource.not_found");
    let go_on = json!({"message": "Hello", "conversation_id": said["conversation_id"]});
    assert_eq!(host.failed(&talk, go_on.clone()).await["code"], "resource.not_found");
    assert_eq!(Host::of(&owner).made(&talk, go_on).await["conversation_id"], said["conversation_id"]);
}
