//! Routes of `/v1/pipelines`.
mod follow;
mod own;
mod read;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Workspace, send};

/// The default pipeline with a note about the character's trade, on which the soul builds.
fn with_note() -> Value {
    let mut steps = json!(persona::pipeline::Pipeline::built_in("default").unwrap().steps);
    let steps = steps.as_array_mut().unwrap();
    for step in steps.iter_mut() {
        step["temperature"] = json!(0.5);
    }
    steps[1]["needs"] = json!(["research"]);
    steps[1]["prompt"] = json!("soul");
    steps.insert(
        1,
        json!({
            "name": "research", "kind": "note", "needs": ["intent_parse"], "role": "draft", "prompt": "research",
            "max_tokens": 300, "temperature": 0.2,
            "schema": {"type": "object", "properties": {"trade": {"type": "string", "maxLength": 200}, "years": {"type": "integer", "minimum": 3}},
                "required": ["trade", "years"], "additionalProperties": false},
        }),
    );
    json!({
        "description": "As default, but what the trade asks of a person is thought about first.",
        "steps": steps,
        "prompts": {
            "research": {"system": "You know every trade.", "user": "{% include \"_brief.j2\" %}\nWhat does this trade ask of a person? Answer in this form: {{ form }}"},
            "soul": {
                "system": "You invent characters for fiction.",
                "user": "{% include \"_brief.j2\" %}\nTheir trade: {{ notes.research.trade }}, for {{ notes.research.years }} years.\n{% include \"_shape.j2\" %}\n{% include \"_language.j2\" %}\nAnswer on one line, in this form: {{ form }}",
            },
        },
    })
}

async fn put(workspace: &Workspace, name: &str, body: &Value) -> Answer {
    send(workspace.call(Method::PUT, &format!("/v1/pipelines/{name}")).json(body)).await
}

async fn delete(workspace: &Workspace, name: &str) -> Answer {
    send(workspace.call(Method::DELETE, &format!("/v1/pipelines/{name}"))).await
}
