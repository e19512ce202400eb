//! The vendors against a real HTTP server that answers as they do, from `fixtures/`: written down from their
//! documentation of each answer.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what fails to unwrap is a failed test")]

mod anthropic;
mod bedrock;
mod openai;
mod replay;
mod router;
mod server;

use std::{sync::Mutex, time::Duration};

use async_trait::async_trait;
use futures_util::StreamExt;
use serde_json::{Value, json};

use self::server::{Reply, Server};
use super::{
    Chunk, Completion, CompletionRequest, CompletionStream, Config, Message, OutputSchema, ProviderError,
    Purse, Role, Router, Sink, Speaker, ToolChoice, router::Patience,
};
use crate::{
    error::{Code, Detail, Error, Result},
    money::Usd,
};

const KEY: &str = "sk-test-a-very-secret-key";
const MIRA: &str = r#"{"name":"Mira Özdemir","age":61}"#;

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../fixtures/", $name))
    };
}
use fixture;

fn request() -> CompletionRequest {
    let says = |role, content: &str| Message::new(role, content);
    CompletionRequest {
        role: Role::Draft,
        messages: vec![
            says(Speaker::System, "You draft characters."),
            says(Speaker::User, "A retired tram driver who runs a bookshop in Izmir."),
        ],
        schema: Some(OutputSchema {
            name: "identity".to_owned(),
            schema: json!({
                "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "identity", "type": "object",
                "properties": {
                    "name": {"type": "string", "minLength": 1, "maxLength": 80},
                    "age": {"type": "integer", "minimum": 0, "maximum": 200}
                },
                "required": ["name", "age"], "additionalProperties": false
            }),
        }),
        max_tokens: 400,
        temperature: 0.7,
        seed: Some(42),
        stop: vec!["\n\n\n".to_owned()],
        top_p: None,
        tools: Vec::new(),
        tool_choice: ToolChoice::Auto,
        inputs: Value::Null,
    }
}

/// One provider named `main` at the server, and what it costs.
fn config(server: &Server, kind: &str, model: &str, more: Value) -> Config {
    let mut provider = json!({
        "name": "main", "kind": kind, "base_url": server.url(), "api_key": KEY, "timeout_seconds": 5
    });
    provider.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let target = json!([{"provider": "main", "model": model}]);
    let mut roles = json!({"draft": target});
    if kind == "openai" {
        roles["embed"] = target.clone();
        roles["moderate"] = target;
    }
    let price = json!({"provider": "main", "model": model, "input": 1, "output": 10, "cache_read": 0.1});
    let document = json!({"providers": [provider], "roles": roles, "prices": {"models": [price]}});
    Config::parse(&document.to_string()).unwrap()
}

fn impatient(config: Config) -> Router {
    Router::from_config(config).with_patience(Patience {
        tries: 3,
        first: Duration::from_millis(1),
        longest: Duration::from_millis(5),
        asked: Duration::from_secs(2),
        within: Duration::from_secs(20),
    })
}

/// The pieces and the end of a stream.
async fn drain(mut stream: CompletionStream) -> (Vec<String>, Result<Completion, ProviderError>) {
    let mut pieces = Vec::new();
    while let Some(chunk) = stream.next().await {
        match chunk {
            Ok(Chunk::Text(piece)) => pieces.push(piece),
            Ok(Chunk::Done(completion)) => {
                assert!(stream.next().await.is_none(), "something follows the end");
                return (pieces, Ok(completion));
            }
            Err(error) => {
                assert!(stream.next().await.is_none(), "something follows a failure");
                return (pieces, Err(error));
            }
        }
    }
    panic!("the stream has no end");
}

/// A purse that keeps the books and checks them.
#[derive(Default)]
struct Books(Mutex<Ledger>);

#[derive(Debug, Default, Clone)]
struct Ledger {
    budget: Option<Usd>,
    reserved: Usd,
    spent: Usd,
    calls: usize,
}

impl Books {
    fn with_budget(budget: Usd) -> Self {
        Self(Mutex::new(Ledger { budget: Some(budget), ..Ledger::default() }))
    }

    fn ledger(&self) -> Ledger {
        self.0.lock().unwrap().clone()
    }
}

#[async_trait]
impl Purse for Books {
    async fn reserve(&self, worst: Usd) -> Result<()> {
        let mut ledger = self.0.lock().unwrap();
        if ledger.budget.is_some_and(|budget| ledger.spent + ledger.reserved + worst > budget) {
            return Err(Error::new(Code::CostBudgetExceeded, "over the budget"));
        }
        ledger.reserved += worst;
        ledger.calls += 1;
        Ok(())
    }

    async fn settle(&self, worst: Usd, cost: Usd) -> Result<()> {
        assert!(cost <= worst, "{cost} was spent and only {worst} reserved");
        let mut ledger = self.0.lock().unwrap();
        ledger.reserved = ledger.reserved - worst;
        ledger.spent += cost;
        Ok(())
    }
}

/// A sink that writes down what it hears: pieces, and `None` for a restart.
#[derive(Debug, Default)]
struct Ear {
    heard: Vec<Option<String>>,
    stop_at: Option<usize>,
}

impl Ear {
    /// What is valid in the end.
    fn text(&self) -> String {
        let void = self.heard.iter().rposition(Option::is_none).map_or(0, |last| last + 1);
        self.heard[void..].iter().flatten().map(String::as_str).collect()
    }

    fn restarts(&self) -> usize {
        self.heard.iter().filter(|piece| piece.is_none()).count()
    }
}

#[async_trait]
impl Sink for Ear {
    async fn text(&mut self, piece: &str) -> Result<()> {
        self.heard.push(Some(piece.to_owned()));
        match self.stop_at {
            Some(most) if self.heard.len() >= most => Err(Error::new(Code::NotFound, "cancelled")),
            _ => Ok(()),
        }
    }

    async fn restart(&mut self) -> Result<()> {
        self.heard.push(None);
        Ok(())
    }
}

/// An object with a name and an age below 200.
fn is_person(text: &str) -> Result<(), Vec<Detail>> {
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        return Err(vec![Detail::new("", "is not JSON")]);
    };
    let mut problems = Vec::new();
    if !value["name"].is_string() {
        problems.push(Detail::new("/name", "is missing"));
    }
    if value["age"].as_u64().is_none_or(|age| age > 200) {
        problems.push(Detail::new("/age", "is not an age"));
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// A whole streamed answer with this text.
fn saying(text: &str) -> Reply {
    let chunk = |choice: Value| format!("data: {}\n\n", json!({"choices": [choice]}));
    let mut body = chunk(json!({"index": 0, "delta": {"content": text}, "finish_reason": null}));
    body.push_str(&chunk(json!({"index": 0, "delta": {}, "finish_reason": "stop"})));
    body.push_str("data: {\"choices\":[],\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":10}}\n\n");
    body.push_str("data: [DONE]\n\n");
    Reply::events(body)
}
