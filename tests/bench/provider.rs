//! An OpenAI-compatible server on loopback that takes the same time for every answer and writes down when it did
//! what. Its text is simulated: the project's own sandbox writes it.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use persona::{
    pipeline::json_stream::LayerStream,
    provider::{
        Completion, CompletionRequest, Message, OutputSchema, Provider as _, Role, Speaker,
        sandbox::{MODEL, Sandbox},
    },
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep_until},
};

use crate::epoch_millis;

/// From the request's last byte to the answer's.
pub(crate) const ANSWER: Duration = Duration::from_secs(1);
/// How many characters of an answer go out at once.
const PIECE: usize = 24;

/// One answered request. Times are milliseconds since the epoch.
#[derive(Debug, Clone)]
pub(crate) struct Answered {
    /// The run's seed, which tells runs apart.
    pub(crate) seed: u64,
    /// The step that asked.
    pub(crate) step: String,
    /// When the request was read.
    pub(crate) asked: f64,
    /// When the last byte of the answer was written.
    pub(crate) answered: f64,
    /// For a streamed answer: each field, and when its closing byte was written.
    pub(crate) fields: Vec<(String, Value, f64)>,
    /// Prompt and completion tokens, as told in the answer.
    pub(crate) tokens: (u64, u64),
    /// Requests in progress when this one came, itself included.
    pub(crate) at_once: usize,
}

#[derive(Default)]
struct Shared {
    sandbox: Sandbox,
    in_progress: AtomicUsize,
    log: Mutex<Vec<Answered>>,
}

/// The server; it ends with the process.
#[derive(Clone, Default)]
pub(crate) struct Provider(Arc<Shared>);

impl Provider {
    /// Listens on a port of loopback.
    pub(crate) async fn start(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let provider = Self::default();
        let serving = provider.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = serving.clone();
                // A client that hangs up ends its own connection alone.
                tokio::spawn(async move { serving.serve(stream).await.ok() });
            }
        });
        Ok(provider)
    }

    /// What was answered to runs with this seed.
    pub(crate) fn answered(&self, seed: u64) -> Vec<Answered> {
        let log = self.0.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.iter().filter(|call| call.seed == seed).cloned().collect()
    }

    async fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut stream = BufReader::new(stream);
        while let Some(body) = read_request(&mut stream).await? {
            let at_once = self.0.in_progress.fetch_add(1, Ordering::SeqCst) + 1;
            let written = self.answer(stream.get_mut(), &body, at_once).await;
            self.0.in_progress.fetch_sub(1, Ordering::SeqCst);
            let answered = written?;
            self.0.log.lock().unwrap_or_else(PoisonError::into_inner).push(answered);
        }
        Ok(())
    }

    async fn answer(&self, stream: &mut TcpStream, body: &Value, at_once: usize) -> io::Result<Answered> {
        let (begun, asked) = (Instant::now(), epoch_millis());
        let request = as_request(body);
        let completion = self.0.sandbox.complete(MODEL, &request).await.map_err(io::Error::other)?;
        let fields = if body["stream"] == true {
            write_streamed(stream, &completion, begun).await?
        } else {
            sleep_until(begun + ANSWER).await;
            write_whole(stream, &completion).await?;
            Vec::new()
        };
        Ok(Answered {
            seed: request.seed.unwrap_or_default(),
            step: request.schema.map(|schema| schema.name).unwrap_or_default(),
            asked,
            answered: epoch_millis(),
            fields,
            tokens: (completion.usage.input, completion.usage.output),
            at_once,
        })
    }
}

/// The body of the next request; `None` when the client has no more.
async fn read_request(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Value>> {
    let mut length = 0;
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    serde_json::from_slice(&body).map(Some).map_err(io::Error::other)
}

/// The question as the sandbox takes it. It writes from the brief, which stands between tags in every prompt.
fn as_request(body: &Value) -> CompletionRequest {
    let messages: Vec<Message> = body["messages"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|message| Message {
            role: Speaker::User,
            content: message["content"].as_str().unwrap_or_default().to_owned(),
        })
        .collect();
    let told = messages.iter().find_map(|m| m.content.split_once("<brief>\n")?.1.split_once("\n</brief>"));
    let intent = told.map_or("", |(intent, _)| intent).to_owned();
    let format = &body["response_format"]["json_schema"];
    let (step, seed) = (format["name"].as_str().unwrap_or_default(), body["seed"].as_u64());
    CompletionRequest {
        role: Role::Draft,
        schema: Some(OutputSchema { name: step.to_owned(), schema: format["schema"].clone() }),
        max_tokens: body["max_tokens"].as_u64().unwrap_or(4_000) as u32,
        temperature: 0.0,
        seed,
        stop: Vec::new(),
        inputs: json!({"step": step, "intent": intent, "seed": seed}),
        messages,
    }
}

fn usage(completion: &Completion) -> Value {
    json!({"prompt_tokens": completion.usage.input, "completion_tokens": completion.usage.output})
}

async fn write_whole(stream: &mut TcpStream, completion: &Completion) -> io::Result<()> {
    let message = json!({"role": "assistant", "content": completion.text});
    let body = json!({
        "model": MODEL, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage(completion),
    })
    .to_string();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ";
    stream.write_all(format!("{head}{}\r\n\r\n{body}", body.len()).as_bytes()).await
}

/// Writes the text evenly over the time of an answer; returns when each field's closing byte went out.
async fn write_streamed(
    stream: &mut TcpStream,
    completion: &Completion,
    begun: Instant,
) -> io::Result<Vec<(String, Value, f64)>> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    let letters: Vec<char> = completion.text.chars().collect();
    let count = letters.chunks(PIECE).count() as u32;
    let (mut reading, mut fields) = (LayerStream::new(), Vec::new());
    for (number, letters) in (1..).zip(letters.chunks(PIECE)) {
        sleep_until(begun + ANSWER * number / count).await;
        let piece: String = letters.iter().collect();
        write_event(stream, &json!({"choices": [{"index": 0, "delta": {"content": piece}}]}).to_string())
            .await?;
        let at = epoch_millis();
        fields.extend(reading.push(&piece).into_iter().map(|(path, value)| (path, value, at)));
    }
    let end =
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": usage(completion)});
    write_event(stream, &end.to_string()).await?;
    write_event(stream, "[DONE]").await?;
    stream.write_all(b"0\r\n\r\n").await?;
    Ok(fields)
}

async fn write_event(stream: &mut TcpStream, data: &str) -> io::Result<()> {
    let event = format!("data: {data}\n\n");
    stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await
}
