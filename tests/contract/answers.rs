//! Every good answer that the document describes is given, and is as described.

use std::collections::BTreeSet;

use functions::{Form, OPEN_ROUTES, ROUTES, Route};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tests::{
    Answer, Workspace, anonymous, base_url, parse_events, send,
    support::sign_in::{Account, Browser, posted},
};

use super::described::{assert_described, assert_event, good_answers, media_of};

const BRIEF: &str = "A 58-year-old watchmaker from Geneva who sings in a choir";

/// A workspace and what of the described answers it has been given.
struct Walk {
    workspace: Workspace,
    given: BTreeSet<(String, u16, String)>,
}

impl Walk {
    fn call(&self, route: &Route, path: &str) -> RequestBuilder {
        self.workspace.call(route.method.parse::<Method>().unwrap(), path)
    }

    async fn take(&mut self, bin: &str, request: impl FnOnce(&Self, &Route) -> RequestBuilder) -> Answer {
        let route = ROUTES.iter().find(|route| route.bin == bin).unwrap();
        let answer = send(request(self, route)).await;
        assert!(answer.status.is_success(), "{bin}: {}", answer.text);
        assert_described(route.endpoint(), &answer);
        let own = [(200, Form::Chunks), (200, Form::Messages)];
        if own.iter().any(|form| route.answers.contains(form)) {
            // Clients of their own read these: tests/routes/openai, tests/routes/mcp.
        } else if answer.header("content-type") == "text/event-stream" {
            let events = parse_events(&answer.text);
            assert!(events.len() > 1, "{bin}: {}", answer.text);
            events.iter().for_each(assert_event);
        }
        self.given.insert((bin.to_owned(), answer.status.as_u16(), answer.header("content-type")));
        answer
    }

    /// A route without a body.
    async fn plain(&mut self, bin: &str, path: String) -> Value {
        self.take(bin, |walk, route| walk.call(route, &path)).await.json()
    }

    async fn with_accept(&mut self, bin: &str, path: String, accept: &str) -> Answer {
        self.take(bin, |walk, route| walk.call(route, &path).header("accept", accept)).await
    }

    async fn posted(&mut self, bin: &str, path: String, prefer: &str, body: &Value) -> Value {
        let posted = |walk: &Self, route: &Route| walk.call(route, &path).header("prefer", prefer).json(body);
        self.take(bin, posted).await.json()
    }
}

impl Walk {
    /// Every route of a conversation, from its beginning to its end.
    async fn conversation(&mut self, persona: &Value) {
        let (list, body) = ("/v1/chat/conversations", json!({"persona_id": persona["id"]}));
        let one =
            format!("{list}/{}", id(&self.posted("conversations-create", list.to_owned(), "", &body).await));
        let messages = format!("{one}/messages");
        let mut said = json!({"message": "Good evening", "tools": ["web.search"]});
        self.posted("messages-create", messages.clone(), "", &said).await;
        said["stream"] = true.into();
        self.take("messages-create", |walk, route| walk.call(route, &messages).json(&said)).await;
        self.plain("messages-list", messages).await;
        self.plain("conversations-drift", format!("{one}/drift")).await;
        self.plain("conversations-get", one.clone()).await;
        self.plain("conversations-list", list.to_owned()).await;
        self.plain("tools-list", "/v1/tools".to_owned()).await;
        let run = self.plain("runs-list", "/v1/runs?kind=conversation.turn&limit=1".to_owned()).await;
        self.plain("runs-get", format!("/v1/runs/{}", id(&run["data"][0]))).await;
        self.plain("runs-events", format!("/v1/runs/{}/events", id(&run["data"][0]))).await;
        self.plain("conversations-delete", one).await;
    }
}

impl Walk {
    /// Every route of custom fields, and the run of a persona that has some.
    async fn fields(&mut self, brief: &Value) {
        let (list, field) = ("/v1/schema/fields".to_owned(), json!({"name": "house", "type": "string"}));
        self.posted("fields-create", list.clone(), "", &field).await;
        self.posted("fields-create", list.clone(), "", &field).await;
        self.plain("fields-list", list.clone()).await;
        let mut brief = brief.clone();
        brief["custom_fields"] = json!({"house": "lion"});
        let persona = self.posted("personas-create", "/v1/personas".to_owned(), "wait=60", &brief).await;
        self.plain("runs-get", format!("/v1/runs/{}", persona["lineage"]["run_id"].as_str().unwrap())).await;
        self.plain("personas-delete", format!("/v1/personas/{}", id(&persona))).await;
        self.plain("fields-delete", format!("{list}/house")).await;
    }
}

impl Walk {
    /// Every route of a pipeline of the workspace's own.
    async fn pipelines(&mut self) {
        let path = "/v1/pipelines/ours".to_owned();
        let fast = self.plain("pipelines-get", "/v1/pipelines/fast".to_owned()).await;
        let mut body = json!({"description": "Ours.", "steps": fast["steps"]});
        for prompt in ["A draft: {{ form }}", "Another draft: {{ form }}"] {
            body["prompts"] = json!({"draft": {"system": "You write.", "user": prompt}});
            self.take("pipelines-update", |walk, route| walk.call(route, &path).json(&body)).await;
        }
        self.plain("pipelines-get", path.clone()).await;
        self.plain("pipelines-list", "/v1/pipelines".to_owned()).await;
        self.plain("pipelines-delete", path).await;
    }
}

impl Walk {
    /// Every route of OpenAI's clients.
    async fn openai(&mut self, persona: &Value) {
        let models = "/v1/openai/models".to_owned();
        self.plain("models-list", models.clone()).await;
        self.plain("models-get", format!("{models}/{}", id(persona))).await;
        self.plain("models-get", format!("{models}/sandbox-1")).await;
        let path = "/v1/openai/embeddings".to_owned();
        let input =
            json!({"model": "sandbox-1", "input": ["a", "b"], "encoding_format": "base64", "dimensions": 8});
        self.posted("embeddings-create", path.clone(), "", &input).await;
        self.posted("embeddings-create", path, "", &json!({"model": "sandbox-1", "input": "a"})).await;
        let path = "/v1/openai/chat/completions";
        let tool =
            json!({"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}});
        let said = json!([{"role": "user", "content": "Good evening [[call:look]]"}]);
        let mut body = json!({"model": persona["slug"], "messages": said});
        self.posted("completions-create", path.to_owned(), "", &body).await;
        body["stream"] = true.into();
        self.take("completions-create", |walk, route| walk.call(route, path).json(&body)).await;
        body["stream"] = false.into();
        body["tools"] = json!([tool]);
        let called = self.posted("completions-create", path.to_owned(), "", &body).await;
        assert_eq!(called["choices"][0]["finish_reason"], "tool_calls", "{called}");
        let run = format!("/v1/runs/{}", called["persona"]["run_id"].as_str().unwrap());
        self.plain("runs-get", run.clone()).await;
        self.plain("runs-events", format!("{run}/events")).await;
    }
}

impl Walk {
    /// A message of the Model Context Protocol, whole and as a stream.
    async fn mcp(&mut self) {
        let both = "application/json, text/event-stream";
        let made = json!({"name": "create_persona", "arguments": {"intent": "A cook"}, "_meta": {"progressToken": 1}});
        for (method, params) in [("tools/list", json!({})), ("tools/call", made)] {
            let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
            self.take("mcp-call", |walk, route| {
                walk.call(route, route.path).header("accept", both).json(&body)
            })
            .await;
        }
    }
}

impl Walk {
    /// The workspace, its keys and what it has used.
    async fn account(&mut self) {
        let change = json!({"name": "Renamed", "monthly_budget_usd": 1000});
        self.take("workspace-update", |walk, route| walk.call(route, "/v1/workspace").json(&change)).await;
        for group in ["day", "kind", "key"] {
            self.plain("usage-get", format!("/v1/usage?group_by={group}")).await;
        }
        let key = json!({"name": "reader", "scopes": ["read", "chat"]});
        let key = self.posted("keys-create", "/v1/keys".to_owned(), "", &key).await;
        let rotate = format!("/v1/keys/{}/rotate", id(&key));
        let next = self.posted("keys-rotate", rotate, "", &json!({"grace_seconds": 60})).await;
        self.plain("keys-revoke", format!("/v1/keys/{}", id(&next))).await;
        self.plain("keys-list", "/v1/keys".to_owned()).await;
    }
}

impl Walk {
    /// Every route of a webhook, from its making to its end.
    async fn webhooks(&mut self) {
        let list = "/v1/webhooks".to_owned();
        let body =
            json!({"url": "https://hooks.example.com/", "events": ["run.failed"], "description": "Ours"});
        let one = format!("{list}/{}", id(&self.posted("webhooks-create", list.clone(), "", &body).await));
        let disabled = json!({"enabled": false});
        self.take("webhooks-patch", |walk, route| walk.call(route, &one).json(&disabled)).await;
        self.plain("webhooks-get", one.clone()).await;
        let enabled = json!({"enabled": true, "description": null});
        self.take("webhooks-patch", |walk, route| walk.call(route, &one).json(&enabled)).await;
        self.posted("webhooks-rotate-secret", format!("{one}/rotate-secret"), "", &json!({})).await;
        let sent = self.plain("webhooks-test", format!("{one}/test")).await;
        let deliveries = format!("{one}/deliveries");
        self.plain("deliveries-redeliver", format!("{deliveries}/{}/redeliver", id(&sent))).await;
        self.plain("deliveries-list", deliveries).await;
        self.plain("webhooks-list", list).await;
        self.plain("webhooks-delete", one).await;
    }
}

impl Walk {
    /// Every route of the marketplace, from publishing to removal.
    async fn marketplace(&mut self, persona: &str) {
        self.take("personas-patch", |walk, route| {
            walk.call(route, persona).json(&json!({"visibility": "public"}))
        })
        .await;
        let (publish, list) = (format!("{persona}/publish"), "/v1/marketplace/personas".to_owned());
        let one = format!("{list}/{}", id(&self.plain("personas-publish", publish.clone()).await));
        let body = json!({"title": "Another title", "tags": ["Slice of life"]});
        self.posted("personas-publish", publish.clone(), "", &body).await;
        self.plain("marketplace-list", format!("{list}?q=another&tag=slice+of+life")).await;
        self.plain("marketplace-get", one.clone()).await;
        let copy = self.plain("marketplace-install", format!("{one}/install")).await;
        self.plain("personas-get", format!("/v1/personas/{}", id(&copy))).await;
        self.plain("marketplace-delete", one).await;
        self.plain("personas-publish", publish).await;
        self.plain("personas-unpublish", format!("{persona}/unpublish")).await;
    }
}

impl Walk {
    /// Every route by which people sign in, without a key.
    async fn sign_in(&mut self) {
        let account = Account::member(&self.workspace, &["read"]).await;
        let metadata = send(anonymous(Method::GET, "/v1/auth/metadata")).await;
        self.open("auth-metadata", &metadata);
        self.open("auth-device-page", &send(anonymous(Method::GET, "/v1/auth/device")).await);
        let client = ("client_id", "persona-cli");
        let device = posted("device", &[client]).await;
        self.open("auth-device", &device);
        let code = device.json()["user_code"].as_str().unwrap().to_owned();
        let begins = format!("{}/v1/auth/authorize?user_code={code}", base_url());
        let mut browser = Browser::default();
        let page = browser.sign_in(begins.parse().unwrap(), &account).await;
        self.open("auth-approval", page.answer.as_ref().unwrap());
        let done = browser.submit(&page, &[("decision", "approve")]).await;
        self.open("auth-approve", done.answer.as_ref().unwrap());
        let code = device.json()["device_code"].as_str().unwrap().to_owned();
        let grant = "urn:ietf:params:oauth:grant-type:device_code";
        let token = posted("token", &[client, ("grant_type", grant), ("device_code", &code)]).await;
        self.open("auth-token", &token);
        let key = token.json()["access_token"].as_str().unwrap().to_owned();
        assert_eq!(posted("revoke", &[client, ("token", &key)]).await.status, 200);
    }

    fn open(&mut self, bin: &str, answer: &Answer) {
        let route = OPEN_ROUTES.iter().find(|route| route.bin == bin).unwrap();
        assert!(answer.status.is_success(), "{bin}: {}", answer.text);
        assert_described(route.endpoint(), answer);
        self.given.insert((bin.to_owned(), answer.status.as_u16(), media_of(answer)));
    }
}

fn id(object: &Value) -> String {
    object["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_described_answer_is_given_and_valid_by_its_schema() {
    let mut walk = Walk { workspace: Workspace::test("team").await, given: BTreeSet::new() };
    let (personas, brief) = ("/v1/personas".to_owned(), json!({"intent": BRIEF, "metadata": {"a": "b"}}));

    let persona = walk.posted("personas-create", personas.clone(), "wait=60", &brief).await;
    walk.take("personas-create", |walk, route| walk.call(route, "/v1/personas?stream=true").json(&brief))
        .await;
    let slow = json!({"intent": format!("[[trigger:slow]] {BRIEF}"), "budget_usd": 2.5, "slug": "slow"});
    let slow = id(&walk.posted("personas-create", personas.clone(), "respond-async", &slow).await);
    walk.plain("personas-list", format!("{personas}?limit=1")).await;
    let one = format!("{personas}/{}", id(&persona));
    walk.plain("personas-get", one.clone()).await;
    walk.with_accept("personas-get", one.clone(), "application/yaml").await;

    walk.take("personas-update", |walk, route| walk.call(route, &one).json(&persona)).await;
    let patch = json!({"metadata": {"a": "c"}});
    walk.take("personas-patch", |walk, route| walk.call(route, &one).json(&patch)).await;
    walk.plain("personas-versions", format!("{one}/versions")).await;
    walk.plain("personas-export", format!("{one}/export?format=card_v2")).await;
    let card = walk.plain("personas-export", format!("{one}/export")).await;
    walk.take("personas-export", |walk, route| walk.call(route, &format!("{one}/export?format=yaml"))).await;
    walk.posted("personas-import", format!("{personas}/import"), "", &card).await;
    let (refine, instruction) = (format!("{one}/refine"), json!({"instruction": "Make her older"}));
    let refined = walk.posted("personas-refine", refine.clone(), "wait=60", &instruction).await;
    walk.posted("personas-refine", refine.clone(), "respond-async", &instruction).await;
    let streamed = format!("{refine}?stream=true");
    walk.take("personas-refine", |walk, route| walk.call(route, &streamed).json(&instruction)).await;
    walk.plain("runs-get", format!("/v1/runs/{}", refined["lineage"]["run_id"].as_str().unwrap())).await;
    walk.plain("pipelines-get", "/v1/pipelines/refine".to_owned()).await;

    let run = format!("/v1/runs/{}", persona["lineage"]["run_id"].as_str().unwrap());
    walk.plain("runs-get", run.clone()).await;
    walk.plain("runs-get", format!("/v1/runs/{slow}")).await;
    walk.plain("runs-events", format!("{run}/events")).await;
    walk.with_accept("runs-events", format!("{run}/events"), "text/event-stream").await;
    walk.plain("runs-cancel", format!("/v1/runs/{slow}/cancel")).await;
    walk.with_accept("runs-events", format!("/v1/runs/{slow}/events"), "text/event-stream").await;

    let exact = json!({"mode": "exact"});
    let replay = walk.posted("runs-replay", format!("{run}/replay"), "wait=25", &exact).await;
    walk.with_accept("runs-events", format!("/v1/runs/{}/events", id(&replay)), "text/event-stream").await;
    let fresh = json!({"mode": "fresh", "overrides": {"seed": 9}});
    let fresh = walk.posted("runs-replay", format!("{run}/replay"), "wait=25", &fresh).await;
    walk.posted("runs-replay", format!("{run}/replay"), "respond-async", &exact).await;
    walk.plain("runs-diff", format!("/v1/runs/{}/diff", id(&fresh))).await;
    walk.plain("runs-get", format!("/v1/runs/{}", id(&fresh))).await;
    walk.plain("runs-list", "/v1/runs?limit=100".to_owned()).await;

    walk.plain("workspace-get", "/v1/workspace".to_owned()).await;
    walk.account().await;
    walk.plain("pipelines-list", "/v1/pipelines".to_owned()).await;
    for name in ["default", "fast", "strict-audit"] {
        walk.plain("pipelines-get", format!("/v1/pipelines/{name}")).await;
    }
    walk.fields(&brief).await;
    walk.pipelines().await;
    walk.conversation(&persona).await;
    walk.openai(&persona).await;
    walk.mcp().await;
    walk.webhooks().await;
    walk.sign_in().await;
    walk.marketplace(&one).await;
    walk.plain("personas-delete", one).await;
    assert_eq!(walk.given, good_answers());
}

#[tokio::test]
async fn a_failed_run_and_its_stream_are_as_described() {
    let mut walk = Walk { workspace: Workspace::test("team").await, given: BTreeSet::new() };
    for trigger in ["schema_violation", "budget_exceeded", "moderation_block", "provider_unavailable"] {
        let body = json!({"intent": format!("[[trigger:{trigger}]] {BRIEF}")});
        let streamed = |walk: &Walk, route: &Route| walk.call(route, "/v1/personas?stream=true").json(&body);
        let answer = walk.take("personas-create", streamed).await;
        assert_eq!(parse_events(&answer.text).last().unwrap().1, "run.failed", "{trigger}");
        let run = walk.plain("runs-get", answer.header("location")).await;
        assert_eq!(run["status"], "failed", "{run}");
    }
}
