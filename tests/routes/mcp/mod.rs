//! `POST /v1/mcp`, message by message. What clients of others make of it is in tests/clients.
mod chat;
mod list;
mod once;
mod protocol;
mod refused;
mod resources;
mod tenancy;
mod tools;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tests::{Answer, Workspace, send};

const PATH: &str = "/v1/mcp";
const BRIEF: &str = "A 58-year-old watchmaker from Geneva who sings in a choir";
const NEWEST: &str = "2026-07-28";
const OLDER: [&str; 2] = ["2025-11-25", "2025-06-18"];

/// A host that speaks one revision.
struct Host<'a> {
    workspace: &'a Workspace,
    revision: &'static str,
}

impl<'a> Host<'a> {
    fn of(workspace: &'a Workspace) -> Self {
        Self { workspace, revision: NEWEST }
    }

    fn in_revision(workspace: &'a Workspace, revision: &'static str) -> Self {
        Self { workspace, revision }
    }

    /// A request with the headers and the metadata that its revision asks for.
    fn request(&self, id: u64, method: &str, params: Value) -> RequestBuilder {
        let mut params = if params.is_null() { json!({}) } else { params };
        let mut request = accepting(self.workspace).header("mcp-protocol-version", self.revision);
        if self.revision == NEWEST {
            params["_meta"]["io.modelcontextprotocol/protocolVersion"] = NEWEST.into();
            params["_meta"]["io.modelcontextprotocol/clientInfo"] = json!({"name": "tests", "version": "1"});
            params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
            request = request.header("mcp-method", method);
            let named =
                params["name"].as_str().or(params["uri"].as_str()).filter(|_| names_something(method));
            if let Some(name) = named {
                request = request.header("mcp-name", name);
            }
        }
        request.json(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
    }

    /// The answer's messages, the last of which is the answer itself.
    async fn ask(&self, method: &str, params: Value) -> Vec<Value> {
        messages(&send(self.request(1, method, params)).await)
    }

    async fn result(&self, method: &str, params: Value) -> Value {
        let mut messages = self.ask(method, params).await;
        let mut answer = messages.pop().unwrap();
        assert!(answer["error"].is_null(), "{method}: {answer}");
        assert_eq!((&answer["jsonrpc"], &answer["id"]), (&json!("2.0"), &json!(1)));
        answer["result"].take()
    }

    /// The error of the protocol, with the envelope's code.
    async fn error(&self, method: &str, params: Value) -> (i64, String, Value) {
        let mut messages = self.ask(method, params).await;
        error_of(&messages.pop().unwrap())
    }

    /// The result of a tool.
    async fn call(&self, tool: &str, arguments: Value) -> Value {
        self.result("tools/call", json!({"name": tool, "arguments": arguments})).await
    }

    /// The structured content of a tool that did what it was called for.
    async fn made(&self, tool: &str, arguments: Value) -> Value {
        let result = self.call(tool, arguments).await;
        assert_ne!(result["isError"], true, "{result}");
        result["structuredContent"].clone()
    }

    /// The envelope of a tool that was called in vain.
    async fn failed(&self, tool: &str, arguments: Value) -> Value {
        let result = self.call(tool, arguments).await;
        assert_eq!(result["isError"], true, "{result}");
        assert!(!result["content"][0]["text"].as_str().unwrap().is_empty());
        result["structuredContent"]["error"].clone()
    }

    /// Everything of a list, page by page.
    async fn all(&self, method: &str, field: &str) -> Vec<Value> {
        let (mut all, mut params) = (Vec::new(), json!({}));
        loop {
            let mut page = self.result(method, params).await;
            all.append(page[field].as_array_mut().unwrap());
            match page["nextCursor"].as_str() {
                Some(cursor) => params = json!({"cursor": cursor}),
                None => return all,
            }
        }
    }
}

fn names_something(method: &str) -> bool {
    ["tools/call", "prompts/get", "resources/read", "resources/subscribe"].contains(&method)
}

fn accepting(workspace: &Workspace) -> RequestBuilder {
    workspace.call(Method::POST, PATH).header("accept", "application/json, text/event-stream")
}

/// The messages of an answer: one as JSON, or those of a stream.
fn messages(answer: &Answer) -> Vec<Value> {
    if answer.header("content-type") == "application/json" {
        return vec![answer.json()];
    }
    assert_eq!(answer.header("content-type"), "text/event-stream", "{}", answer.text);
    let lines = answer.text.lines().filter_map(|line| line.strip_prefix("data:"));
    lines.map(|data| serde_json::from_str(data.trim()).unwrap()).collect()
}

/// Code, the envelope's code, and the envelope of an error; every error has one.
fn error_of(message: &Value) -> (i64, String, Value) {
    let error = &message["error"];
    let envelope = error["data"]["error"].clone();
    assert!(envelope["request_id"].as_str().is_some_and(|id| id.starts_with("req_")), "{message}");
    assert!(envelope["doc_url"].as_str().is_some(), "{message}");
    (error["code"].as_i64().unwrap(), envelope["code"].as_str().unwrap().to_owned(), envelope)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The tool that talks with a persona.
fn chat_tool(persona: &Value) -> String {
    format!("chat_with_{}", persona["slug"].as_str().unwrap())
}

fn names(list: &[Value]) -> Vec<String> {
    list.iter().map(|item| text(&item["name"])).collect()
}
