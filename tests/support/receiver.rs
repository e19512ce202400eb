//! A server on loopback that webhooks are sent to: it writes down what it is sent, and reacts as a test says. And the
//! verifier of docs/snippets, run by Node.

#![allow(clippy::expect_used, clippy::missing_panics_doc, reason = "a test fails by panicking")]

use std::{
    collections::HashMap,
    path::PathBuf,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    process::Command,
    time::{Instant, sleep},
};

/// What it was sent.
#[derive(Debug, Clone)]
pub struct Received {
    /// Path.
    pub path: String,
    /// By name in small letters.
    pub headers: HashMap<String, String>,
    /// As it came.
    pub body: String,
    /// When it was read whole, milliseconds since the epoch.
    pub at: f64,
    /// How often this event had been sent to this path before.
    pub before: usize,
}

impl Received {
    /// A header's text; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The body.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("a body of JSON")
    }

    /// From the event to its arrival here, in milliseconds.
    pub fn waited_ms(&self) -> f64 {
        let made = self.json()["created_at"].as_str().map(|at| OffsetDateTime::parse(at, &Rfc3339));
        let made = made.expect("a time").expect("RFC 3339");
        self.at - made.unix_timestamp_nanos() as f64 / 1e6
    }

    /// The event's id.
    pub fn event(&self) -> &str {
        self.header("persona-event-id")
    }
}

/// How it reacts.
#[derive(Debug, Clone)]
pub enum Reaction {
    /// A status, further lines of the head, and a body.
    Answer(u16, String, String),
    /// Nothing, for as long as the sender waits.
    Silence,
}

impl Reaction {
    /// A status alone.
    pub fn status(status: u16) -> Self {
        Self::Answer(status, String::new(), String::new())
    }
}

type React = dyn Fn(&Received) -> Reaction + Send + Sync;

/// The server; it ends with the test.
#[derive(Clone)]
pub struct Receiver {
    /// Its port.
    pub port: u16,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Receiver {
    /// Takes everything.
    pub async fn willing() -> Self {
        Self::start(|_| Reaction::status(200)).await
    }

    /// Reacts so.
    pub async fn start(react: impl Fn(&Received) -> Reaction + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let (log, react): (_, Arc<React>) = (Arc::clone(&received), Arc::new(react));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&log), Arc::clone(&react)));
            }
        });
        Self { port, received }
    }

    /// An address of it.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// All that came, oldest first.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All that came to a path.
    pub fn received_at(&self, path: &str) -> Vec<Received> {
        self.received().into_iter().filter(|received| received.path == path).collect()
    }

    /// Events of a kind, oldest first.
    pub fn of_type(&self, kind: &str) -> Vec<Received> {
        self.received().into_iter().filter(|received| received.header("persona-event-type") == kind).collect()
    }

    /// Waits until it has come to this, or until patience ends; whether it has.
    pub async fn until(&self, patience: Duration, come: impl Fn(&[Received]) -> bool) -> bool {
        let end = Instant::now() + patience;
        while Instant::now() < end {
            if come(&self.received()) {
                return true;
            }
            sleep(Duration::from_millis(20)).await;
        }
        come(&self.received())
    }
}

async fn serve(stream: TcpStream, log: Arc<Mutex<Vec<Received>>>, react: Arc<React>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = HashMap::new();
    loop {
        line.clear();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let body = String::from_utf8(body).ok()?;
    let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs_f64() * 1_000.0;
    let mut received = Received { path, headers, body, at, before: 0 };
    {
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |other: &&Received| other.path == received.path && other.event() == received.event();
        received.before = log.iter().filter(same).count();
        log.push(received.clone());
    }
    match react(&received) {
        Reaction::Silence => sleep(Duration::from_mins(1)).await,
        Reaction::Answer(status, head, body) => {
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status} Because\r\ncontent-length: {length}\r\nconnection: close\r\n{head}\r\n{body}"
            );
            stream.write_all(answer.as_bytes()).await.ok()?;
            stream.flush().await.ok()?;
        }
    }
    Some(())
}

/// A signature, the body that it should be of, and the secret.
pub type Case<'a> = (&'a str, &'a str, &'a str);

/// What the verifier says of each case: `ok`, or why not. Node runs it as it is printed in docs/snippets.
pub async fn verified(cases: &[Case<'_>]) -> Vec<String> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let node = root.join(".local/clients/python/bin/node");
    assert!(node.exists(), "{} is missing: `make clients` installs it", node.display());
    let snippet = root.join("docs/snippets/webhook-verify.mjs").canonicalize().expect("the verifier");
    let mut child = Command::new(node)
        .arg(root.join("tests/data/webhooks/verify_all.mjs"))
        .arg(snippet)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("node");
    let cases: Vec<Value> = cases
        .iter()
        .map(|(signature, body, secret)| json!({"signature": signature, "body": body, "secret": secret}))
        .collect();
    let mut input = child.stdin.take().expect("its input");
    input.write_all(json!(cases).to_string().as_bytes()).await.expect("the cases are sent");
    drop(input);
    let output = child.wait_with_output().await.expect("node ends");
    assert!(output.status.success(), "node failed");
    serde_json::from_slice(&output.stdout).expect("a list of outcomes")
}
