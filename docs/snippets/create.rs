//! Makes a persona and prints its id.
#![expect(clippy::print_stdout, reason = "a program prints")]

use std::{env, error::Error};

use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let base = env::var("PERSONA_BASE_URL").unwrap_or_else(|_| "https://api.persona.dev".to_owned());
    let response = reqwest::Client::new()
        .post(format!("{base}/v1/personas"))
        .bearer_auth(env::var("PERSONA_API_KEY")?)
        .json(&json!({
            "intent": "A 58-year-old bookseller from Istanbul who hides letters in old books",
            "visibility": "workspace",
        }))
        .send()
        .await?;
    let is_refused = response.status().is_client_error() || response.status().is_server_error();
    let answer: Value = response.json().await?;
    if is_refused {
        return Err(answer["error"]["message"].as_str().unwrap_or_default().into());
    }
    println!("{}", answer["id"].as_str().unwrap_or_default());
    Ok(())
}
