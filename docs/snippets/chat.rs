//! Begins a conversation with `$PERSONA`, says something, and prints the answer and how far it drifted.
#![expect(clippy::print_stdout, reason = "a program prints")]

use std::{env, error::Error};

use serde_json::{Value, json};

async fn post(path: &str, body: &Value) -> Result<Value, Box<dyn Error>> {
    let base = env::var("PERSONA_BASE_URL").unwrap_or_else(|_| "https://api.persona.dev".to_owned());
    let request = reqwest::Client::new().post(format!("{base}/v1/chat/conversations{path}"));
    let response = request.bearer_auth(env::var("PERSONA_API_KEY")?).json(body).send().await?;
    Ok(response.error_for_status()?.json().await?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let conversation = post("", &json!({"persona_id": env::var("PERSONA")?})).await?;
    let path = format!("/{}/messages", conversation["id"].as_str().unwrap_or_default());
    let turn = post(&path, &json!({"message": "What are you reading?"})).await?;
    println!("{}", turn["content"].as_str().unwrap_or_default());
    println!("{}", turn["drift"]["verdict"].as_str().unwrap_or_default());
    Ok(())
}
