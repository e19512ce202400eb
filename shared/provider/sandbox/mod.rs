//! The built-in sandbox: an in-process, deterministic, free stand-in for a language model. Test mode runs on it.
//!
//! It writes from [`CompletionRequest::inputs`], not from the prompt, and is documented in `docs/sandbox.md`.

mod brief;
mod calls;
mod chat;
mod conform;
mod draft;
mod fields;
mod pattern;
mod person;
mod phrases;
mod random;
mod refine;
mod trigger;
mod vector;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use self::person::{Inputs, Person};
use super::{
    Chunk, Completion, CompletionRequest, CompletionStream, Failure, Finish, ModerationVerdict, Provider,
    ProviderError, Role, Speaker, Usage,
};
use crate::{consistency, key::Mode, money::Usd, persona::Layers};

pub use self::{
    trigger::{Trigger, UnknownTrigger, trigger},
    vector::DIMENSIONS,
};

/// The provider's name in configuration, recordings and runs.
pub const NAME: &str = "sandbox";

/// The one model it has.
pub const MODEL: &str = "sandbox-1";

/// How long a call takes under [`Trigger::Slow`]. Three of them, the least a pipeline makes one after the
/// other, outlast the default wait of 25 s.
pub const SLOW_CALL: Duration = Duration::from_secs(10);

/// The price of a call under [`Trigger::BudgetExceeded`].
const QUOTE: Usd = Usd::from_micros(400_000);

/// How many characters a streamed piece has.
const PIECE: usize = 24;

/// The sandbox. Keep one for the life of the process: it remembers whom it has throttled.
#[derive(Debug)]
pub struct Sandbox {
    /// How long a call takes under [`Trigger::Slow`].
    slow_call: Duration,
    /// The calls refused under [`Trigger::Throttled`] whose retry has not come yet.
    throttled: Mutex<BTreeSet<[u8; 32]>>,
}

/// Whether the sandbox writes a language; in any other its text is English and only `knowledge.languages`
/// declares the language.
pub fn writes(language: &str) -> bool {
    phrases::has(language)
}

/// The language that a persona's lines must be in: its own, or English where the sandbox, which does not know it, has
/// written them.
pub fn must_speak<'l>(mode: Mode, language: &'l str, layers: &Layers) -> &'l str {
    let may_be_english = mode == Mode::Test && !writes(language);
    if may_be_english && !consistency::reads_as(layers, language) { "en" } else { language }
}

/// The languages that the sandbox writes, ISO-639-1.
pub fn languages() -> impl Iterator<Item = &'static str> {
    phrases::languages()
}

/// What a call costs: nothing, except that [`Trigger::BudgetExceeded`] simulates $0.40 for every call but
/// `intent_parse` and `refine_plan`. The price of a call is known before it is made, so worst case and actual cost are equal.
pub fn quote(request: &CompletionRequest) -> Usd {
    let call = Call::of(request);
    if call.trigger == Some(Trigger::BudgetExceeded) && !call.parses_intent() { QUOTE } else { Usd::ZERO }
}

#[async_trait]
impl Provider for Sandbox {
    async fn complete(&self, _model: &str, request: &CompletionRequest) -> Result<Completion, ProviderError> {
        let call = Call::of(request);
        self.admit(&call)?;
        let answer = answer(&call);
        if call.trigger == Some(Trigger::Slow) {
            tokio::time::sleep(self.slow_call).await;
        }
        Ok(answer)
    }

    async fn stream(
        &self,
        _model: &str,
        request: &CompletionRequest,
    ) -> Result<CompletionStream, ProviderError> {
        let call = Call::of(request);
        self.admit(&call)?;
        let answer = answer(&call);
        let pieces = pieces(&answer.text);
        let pause = match call.trigger {
            Some(Trigger::Slow) => self.slow_call / pieces.len().max(1) as u32,
            _ => Duration::ZERO,
        };
        let text = stream::iter(pieces).then(move |piece| async move {
            if pause.is_zero() {
                // Each piece comes by itself, as a model's do.
                tokio::task::yield_now().await;
            } else {
                tokio::time::sleep(pause).await;
            }
            Ok(Chunk::Text(piece))
        });
        Ok(text.chain(stream::iter([Ok(Chunk::Done(answer))])).boxed())
    }

    /// Vectors of [`DIMENSIONS`] numbers and unit length, from hashed character n-grams.
    async fn embed(&self, _model: &str, texts: &[String]) -> Result<(Vec<Vec<f32>>, Usage), ProviderError> {
        let input = texts.iter().map(|text| quarter(text.len())).sum();
        let vectors = texts.iter().map(|text| vector::embed(text)).collect();
        Ok((vectors, Usage { input, ..Usage::default() }))
    }

    /// Flags nothing but [`Trigger::ModerationBlock`].
    async fn moderate(&self, _model: &str, text: &str) -> Result<ModerationVerdict, ProviderError> {
        let blocked = trigger(text) == Some(Trigger::ModerationBlock);
        Ok(ModerationVerdict { flagged: if blocked { vec![HARM.to_owned()] } else { Vec::new() } })
    }
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::with_slow_call(SLOW_CALL)
    }
}

impl Sandbox {
    /// A sandbox whose slow calls take another time than [`SLOW_CALL`].
    pub fn with_slow_call(slow_call: Duration) -> Self {
        Self { slow_call, throttled: Mutex::default() }
    }

    /// Refuses a call as its trigger asks.
    fn admit(&self, call: &Call<'_>) -> Result<(), ProviderError> {
        match call.trigger {
            Some(Trigger::ProviderUnavailable) if !call.parses_intent() => {
                Err(ProviderError::new(Failure::Unavailable, "the intent asked the sandbox for an outage"))
            }
            Some(Trigger::Throttled) if self.refuses_first(call) => Err(ProviderError::new(
                Failure::Throttled(Some(1)),
                "the intent asked the sandbox to throttle the first call of each step",
            )),
            _ => Ok(()),
        }
    }

    /// True at the first call of a step, false at the one after it, and so on.
    fn refuses_first(&self, call: &Call<'_>) -> bool {
        let mut hash = Sha256::new();
        for part in [&*call.seed, &*call.step, call.intent] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let key: [u8; 32] = hash.finalize().into();
        let mut throttled = self.throttled.lock().unwrap_or_else(PoisonError::into_inner);
        if throttled.remove(&key) { false } else { throttled.insert(key) }
    }
}

// ---- a call

/// The category that a blocked intent falls in when the schema names none.
const HARM: &str = "violence";

/// A request with what decides its answer.
struct Call<'a> {
    request: &'a CompletionRequest,
    inputs: Inputs<'a>,
    intent: &'a str,
    step: String,
    seed: String,
    trigger: Option<Trigger>,
}

impl<'a> Call<'a> {
    fn of(request: &'a CompletionRequest) -> Self {
        let inputs = Inputs(&request.inputs);
        let said =
            || request.messages.iter().rev().find(|m| m.role == Speaker::User).map(|m| m.content.as_str());
        let intent = inputs.text("intent").or_else(said).unwrap_or_default();
        let seed = request.inputs.get("seed").and_then(Value::as_u64).or(request.seed).unwrap_or(0);
        let step =
            inputs.text("step").map_or_else(|| format!("{:?}", request.role).to_lowercase(), str::to_owned);
        Self { request, intent, step, seed: seed.to_string(), trigger: trigger(intent), inputs }
    }

    /// What is said to a persona.
    fn message(&self) -> &'a str {
        self.inputs.text("message").unwrap_or(self.intent)
    }

    fn parses_intent(&self) -> bool {
        self.step == "intent_parse" || self.step == "refine_plan"
    }

    fn schema(&self) -> Option<&'a Value> {
        self.request.schema.as_ref().map(|output| &output.schema)
    }

    /// The keys that the answer has: the schema's, or the inputs' `layers` when there is none. A repair's
    /// schema names the layers to redraft, and so does `layers`.
    fn keys(&self) -> Vec<&'a str> {
        let properties = self.schema().and_then(|s| s.get("properties")).and_then(Value::as_object);
        let layers: Vec<&str> = self
            .inputs
            .0
            .get("layers")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let Some(properties) = properties else { return layers };
        let wanted = |key: &&str| layers.is_empty() || layers.contains(key) || !is_layer(key);
        properties.keys().map(String::as_str).filter(wanted).collect()
    }

    /// Whether this is the second try after an answer that was no JSON: the first is quoted in the messages.
    fn repairs_answer(&self) -> bool {
        self.request.messages.iter().any(|message| message.role == Speaker::Assistant)
    }
}

fn is_layer(key: &str) -> bool {
    ["identity", "soul", "voice", "history", "relations", "knowledge", "boundaries", "scenario"]
        .contains(&key)
}

fn answer(call: &Call<'_>) -> Completion {
    let person = Person::of(&call.inputs, call.intent, &call.seed);
    let prompt: usize = call.request.messages.iter().map(|m| m.content.len()).sum();
    let usage = |output| Usage { input: quarter(prompt), output, ..Usage::default() };
    let tool_calls = calls::calls(call.request, call.message(), &person);
    if !tool_calls.is_empty() {
        let written = tool_calls.iter().map(|call| call.name.len() + call.arguments.len()).sum();
        let (text, finish) = (String::new(), Finish::ToolCalls);
        return Completion { text, tool_calls, usage: usage(quarter(written)), finish };
    }
    let speaks = call.schema().is_none() && (call.request.role == Role::Chat || call.keys().is_empty());
    let text = if speaks { spoken(call, &person) } else { written(call, &person) };
    let (text, finish) = ended(text, call.request);
    let output = quarter(text.chars().count());
    Completion { text, tool_calls, usage: usage(output), finish }
}

fn spoken(call: &Call<'_>, person: &Person) -> String {
    let persona = call.inputs.0.get("persona").unwrap_or(&Value::Null);
    let message = calls::without_calls(&trigger::without_triggers(call.message()));
    chat::reply(person, persona, &message, &calls::heard(call.request))
}

fn written(call: &Call<'_>, person: &Person) -> String {
    let mut answer = Map::new();
    for key in call.keys() {
        if let Some(value) = piece(call, person, key) {
            answer.insert(key.to_owned(), value);
        }
    }
    let drafts = answer.keys().any(|key| is_layer(key));
    let open = call.schema().is_some_and(|schema| schema.get("properties").is_none());
    if answer.is_empty() && open && call.request.role == Role::Chat {
        // A caller who wants JSON and does not say which.
        answer.insert("reply".to_owned(), spoken(call, person).into());
    }
    let mut answer = match call.schema() {
        Some(schema) => {
            conform::conform(Some(Value::Object(answer)), schema, person, &mut person.dice(&call.step))
        }
        None => Value::Object(answer),
    };
    // After conforming: a schema that bounds the ages would take the contradiction back.
    if let (Some(Trigger::SchemaViolation), Some(layers)) = (call.trigger, answer.as_object_mut()) {
        draft::contradict(layers, person.age);
    }
    let text = answer.to_string();
    if call.trigger == Some(Trigger::InvalidJson) && drafts && !call.repairs_answer() {
        return text.chars().take(text.chars().count() / 2).collect();
    }
    text
}

/// The value of one key of an answer. What is unknown here is filled in by its schema.
fn piece(call: &Call<'_>, person: &Person, key: &str) -> Option<Value> {
    match key {
        "facts" => Some(draft::facts(person)),
        "requirements" => Some(json!(person.brief.requirements)),
        "harm" => Some(harm(call)),
        "findings" | "contradictions" | "violations" => Some(json!([])),
        "layers" => Some(planned(call)),
        "custom_fields" => {
            Some(fields::filled(call.inputs.0.get("fields").unwrap_or(&Value::Null), person, &call.step))
        }
        layer => match call.inputs.text("instruction") {
            Some(instruction) if is_layer(layer) => {
                let of = |key: &str| call.inputs.0.get(key).unwrap_or(&Value::Null);
                Some(refine::rewritten(person, layer, instruction, of("persona"), of("before")))
            }
            _ => draft::layer(person, layer, &call.step),
        },
    }
}

/// The layers that a refinement touches. A trigger needs them all: it is about the calls that write them.
fn planned(call: &Call<'_>) -> Value {
    let allowed = call.inputs.0.get("allowed").and_then(Value::as_array);
    let allowed: Vec<&str> = allowed.into_iter().flatten().filter_map(Value::as_str).collect();
    if call.trigger.is_some() {
        return json!(allowed);
    }
    let before = call.inputs.0.get("before").unwrap_or(&Value::Null);
    json!(refine::plan(call.inputs.text("instruction").unwrap_or_default(), before, &allowed))
}

/// `none`, or under [`Trigger::ModerationBlock`] the first category that the schema allows.
fn harm(call: &Call<'_>) -> Value {
    if call.trigger != Some(Trigger::ModerationBlock) {
        return json!("none");
    }
    let categories = call.schema().and_then(|s| s.pointer("/properties/harm/enum")).and_then(Value::as_array);
    let category = categories.into_iter().flatten().find(|c| c.as_str().is_some_and(|c| c != "none"));
    category.cloned().unwrap_or_else(|| json!(HARM))
}

/// The text up to the first stop text, and within `max_tokens` of four characters each.
fn ended(text: String, request: &CompletionRequest) -> (String, Finish) {
    let stop = request.stop.iter().filter(|s| !s.is_empty()).filter_map(|s| text.find(s.as_str())).min();
    let text = stop.map_or(text.clone(), |at| text[..at].to_owned());
    let most = request.max_tokens as usize * 4;
    if text.chars().count() > most {
        return (text.chars().take(most).collect(), Finish::Length);
    }
    (text, Finish::Stop)
}

fn pieces(text: &str) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    letters.chunks(PIECE).map(|piece| piece.iter().collect()).collect()
}

/// The sandbox's tokens: four bytes of a prompt, or four characters of an answer, are one.
fn quarter(length: usize) -> u64 {
    length.div_ceil(4) as u64
}
