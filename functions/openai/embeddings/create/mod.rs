//! `POST /v1/openai/embeddings`: vectors of texts.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use persona::{
    Error, Result,
    app::App,
    config::Setting,
    error::{Code, Detail},
    key::{Mode, Scope},
    openai::{self, Embed},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Form, Route,
    serve::{Call, Reply},
};

/// The route. Its answer is no stream, but a thousand vectors are more than a buffered answer may have.
pub const ROUTE: Route = Route {
    bin: "embeddings-create",
    method: "POST",
    path: "/v1/openai/embeddings",
    summary: "Make vectors of texts.",
    scope: Scope::Chat,
    streaming: true,
    query: &[],
    headers: &[],
    body: Some(include_str!("request.json")),
    answers: &[(200, Form::Object("embeddings"))],
    errors: &[Code::NotFound, Code::WorkspaceBudgetExceeded, Code::ProviderUnavailable],
    settings: &[Setting::WorkspacesTable, Setting::WebhooksTable, Setting::ProvidersSecret],
};

/// The body; what else the schema allows changes nothing.
#[derive(Debug, Deserialize)]
pub struct Body {
    model: String,
    input: Input,
    #[serde(default)]
    encoding_format: Option<Encoding>,
    #[serde(default)]
    dimensions: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Input {
    One(String),
    Several(Vec<String>),
    /// Numbers, or lists of numbers.
    Tokens(Value),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Encoding {
    Float,
    Base64,
}

/// The vectors in the order of the texts.
pub async fn handle(app: App, call: Call<Body>) -> Result<Reply> {
    let Body { model, input, encoding_format, dimensions } = call.body;
    let asked = Embed { model, texts: texts(input)?, dimensions };
    let made = openai::embed(&app, &call.caller, &asked).await?;
    let encoding = encoding_format.unwrap_or(Encoding::Float);
    let object = |(index, vector): (usize, &Vec<f32>)| json!({"object": "embedding", "index": index, "embedding": encoded(vector, encoding)});
    let data: Vec<Value> = made.vectors.iter().enumerate().map(object).collect();
    let answer = json!({
        "object": "list", "data": data, "model": asked.model,
        "usage": {"prompt_tokens": made.tokens, "total_tokens": made.tokens},
        "persona": {"cost_usd": made.cost, "simulated": call.caller.mode == Mode::Test},
    });
    Ok(Reply::json(200, answer))
}

/// The texts; models are asked in words, since whose tokens they would be nobody says.
fn texts(input: Input) -> Result<Vec<String>> {
    let (texts, alone) = match input {
        Input::One(text) => (vec![text], true),
        Input::Several(texts) => (texts, false),
        Input::Tokens(tokens) => {
            let first: String = tokens[0].to_string().chars().take(40).collect();
            let message = format!(
                "input begins with {first}: these are tokens, and the configured models take texts. Send a string or an array of strings."
            );
            return Err(Error::invalid("input", message));
        }
    };
    let empty = texts.iter().enumerate().filter(|(_, text)| text.is_empty());
    let pointer = |at: usize| if alone { "/input".to_owned() } else { format!("/input/{at}") };
    let problems = empty.map(|(at, _)| Detail::new(pointer(at), "The text is empty; it has no vector."));
    Error::invalid_all(problems.collect())?;
    Ok(texts)
}

/// As numbers, or as base64 of little-endian numbers of four bytes.
fn encoded(vector: &[f32], encoding: Encoding) -> Value {
    match encoding {
        Encoding::Float => json!(vector),
        Encoding::Base64 => {
            let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
            STANDARD.encode(bytes).into()
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn read(input: Value) -> Result<Vec<String>> {
        texts(serde_json::from_value(input).unwrap())
    }

    #[test]
    fn base64_is_little_endian_with_four_bytes_a_number() {
        assert_eq!(encoded(&[1.0, -2.5], Encoding::Base64), json!("AACAPwAAIMA="));
        assert_eq!(encoded(&[1.0, -2.5], Encoding::Float), json!([1.0, -2.5]));
    }

    #[test]
    fn texts_are_read_one_or_many_and_tokens_are_refused_in_words() {
        assert_eq!(read(json!("a")).unwrap(), ["a"]);
        assert_eq!(read(json!(["a", "b"])).unwrap(), ["a", "b"]);
        for tokens in [json!([1, 2]), json!([[1], [2, 3]])] {
            let refused = read(tokens).unwrap_err();
            assert_eq!(refused.param.as_deref(), Some("input"));
            assert!(refused.message.contains("tokens"));
        }
        assert_eq!(read(json!(["a", ""])).unwrap_err().param.as_deref(), Some("input.1"));
    }
}
