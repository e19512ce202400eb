//! Makes a persona and prints each field of it as soon as it is known.
#![expect(clippy::print_stdout, reason = "a program prints")]

use std::{env, error::Error};

use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let base = env::var("PERSONA_BASE_URL").unwrap_or_else(|_| "https://api.persona.dev".to_owned());
    let mut response = reqwest::Client::new()
        .post(format!("{base}/v1/personas?stream=true"))
        .bearer_auth(env::var("PERSONA_API_KEY")?)
        .header("Accept", "text/event-stream")
        .json(&json!({"intent": "A 66-year-old chef from Sydney who collects vintage cars"}))
        .send()
        .await?
        .error_for_status()?;
    let (mut bytes, mut event) = (Vec::new(), String::new());
    while let Some(piece) = response.chunk().await? {
        bytes.extend_from_slice(&piece);
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let line = String::from_utf8(bytes.drain(..=end).collect())?;
            match line.trim_end().split_once(": ") {
                Some(("event", name)) => event = name.to_owned(),
                Some(("data", data)) => {
                    let data: Value = serde_json::from_str(data)?;
                    let about = ["path", "step", "persona_id"].iter().find_map(|key| data[key].as_str());
                    println!("{event} {}", about.unwrap_or_default());
                }
                _ => {}
            }
        }
    }
    Ok(())
}
