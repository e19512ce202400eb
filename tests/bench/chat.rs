//! What a persona adds to a model: the time to the first word, beside a widely used proxy; the work per piece that is
//! relayed; the requests to the store; and how soon the drift is known.

use std::{
    env, fs,
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tests::Workspace;
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    time::sleep,
};

use crate::{
    BRIEF,
    figures::{Row, Samples, Unit},
    processes,
};

/// Turns before the first that is measured.
const HISTORY: usize = 20;
const SAMPLES: usize = 30;
/// The provider writes this many pieces, the first at once.
const SHORT: &str = "[[chunks:8]] What did you do today?";
const LONG: &str = "[[chunks:1000]] Tell me everything.";
const LONG_TURNS: usize = 10;
const FUNCTION: &str = "messages-create";
/// A proxy that has not answered by then does not come up.
const PROXY_PATIENCE: Duration = Duration::from_mins(2);

/// Milliseconds since the request until the body had each of these marks.
async fn until(request: RequestBuilder, marks: &[&str]) -> Vec<f64> {
    let begun = Instant::now();
    let response = request.send().await.expect("an answer");
    assert!(response.status().is_success(), "{}", response.status());
    let (mut bytes, mut text, mut times) = (response.bytes_stream(), String::new(), Vec::new());
    while let Some(piece) = bytes.next().await {
        text.push_str(&String::from_utf8_lossy(&piece.expect("a piece")));
        let now = begun.elapsed().as_secs_f64() * 1e3;
        while marks.get(times.len()).is_some_and(|mark| text.contains(mark)) {
            times.push(now);
        }
    }
    assert_eq!(times.len(), marks.len(), "{text}");
    times
}

/// A conversation and its upstream.
struct Talk {
    workspace: Workspace,
    path: String,
    upstream: String,
}

impl Talk {
    async fn begin(port: u16) -> Self {
        let workspace = Workspace::live("enterprise").await;
        let persona = workspace.persona(BRIEF).await;
        let begun =
            workspace.post("/v1/chat/conversations", &json!({"persona_id": persona["id"]})).await.json();
        let path = format!("/v1/chat/conversations/{}/messages", begun["id"].as_str().expect("an id"));
        let upstream = format!("http://127.0.0.1:{port}/bench/v1/chat/completions");
        let talk = Self { workspace, path, upstream };
        for _ in 0..HISTORY {
            talk.whole(SHORT).await;
        }
        talk
    }

    async fn whole(&self, message: &str) -> u64 {
        let answer = self.workspace.post(&self.path, &json!({"message": message})).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.store_requests()
    }

    fn streamed(&self, message: &str) -> RequestBuilder {
        let body = json!({"message": message, "stream": true});
        self.workspace.call(Method::POST, &self.path).json(&body)
    }

    /// The same talk, put to an OpenAI-compatible address.
    fn asked(&self, url: &str) -> RequestBuilder {
        let said = (0..HISTORY).flat_map(|_| {
            let answer = "x".repeat(8 * 24);
            [json!({"role": "user", "content": SHORT}), json!({"role": "assistant", "content": answer})]
        });
        let said: Vec<Value> = said.chain([json!({"role": "user", "content": SHORT})]).collect();
        let body = json!({"model": "upstream", "stream": true, "messages": said});
        reqwest::Client::new().post(url).bearer_auth("sk-bench").json(&body)
    }
}

/// LiteLLM's proxy in front of the same upstream; ends when it is dropped.
struct Proxy {
    url: String,
    _process: Child,
}

impl Proxy {
    /// `None` where LITELLM names no program.
    async fn start(upstream_port: u16) -> Option<Self> {
        let program = PathBuf::from(env::var_os("LITELLM")?);
        if !program.exists() {
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").await.ok()?.local_addr().ok()?.port();
        let config = env::temp_dir().join(format!("persona-bench-{port}.yaml"));
        let text = format!(
            "model_list:\n  - model_name: upstream\n    litellm_params:\n      model: openai/simulated\n      api_base: http://127.0.0.1:{upstream_port}/bench/v1\n      api_key: none\n"
        );
        fs::write(&config, text).expect("a file of configuration");
        let process = Command::new(program)
            .args(["--config", config.to_str()?, "--host", "127.0.0.1", "--port", &port.to_string()])
            .env("LITELLM_LOG", "ERROR")
            .env("LITELLM_LOCAL_MODEL_COST_MAP", "True")
            .env("LITELLM_TELEMETRY", "False")
            // It is heard on loopback alone.
            .env("LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY", "true")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("LITELLM is a program");
        let alive = format!("http://127.0.0.1:{port}/health/liveliness");
        let up = async {
            while !reqwest::get(&alive).await.is_ok_and(|answer| answer.status().is_success()) {
                sleep(Duration::from_millis(500)).await;
            }
        };
        tokio::time::timeout(PROXY_PATIENCE, up).await.expect("the proxy comes up");
        Some(Self { url: format!("http://127.0.0.1:{port}/v1/chat/completions"), _process: process })
    }
}

/// Milliseconds of a processor that the function's processes have used, all threads.
fn cpu_millis() -> f64 {
    let tasks =
        processes(FUNCTION).into_iter().filter_map(|id| fs::read_dir(format!("/proc/{id}/task")).ok());
    let used = tasks.flatten().filter_map(Result::ok).filter_map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    });
    used.sum::<f64>() / 1e6
}

/// What is added to each time by the median of what it is compared with.
fn added(times: &[f64], base: f64) -> Samples {
    times.iter().map(|time| time - base).collect()
}

/// The rows. Samples are interleaved, so that what slows the machine slows all alike.
pub(crate) async fn measure(port: u16) -> Vec<Row> {
    let talk = Talk::begin(port).await;
    let proxy = Proxy::start(port).await;
    let (mut direct, mut persona, mut proxied, mut scored) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..SAMPLES {
        direct.extend(until(talk.asked(&talk.upstream), &["\"content\""]).await);
        let marks = ["event: message.delta", "event: drift.scored"];
        let times = until(talk.streamed(SHORT), &marks).await;
        persona.push(times[0]);
        if let Some(proxy) = &proxy {
            proxied.extend(until(talk.asked(&proxy.url), &["\"content\":\"x"]).await);
        }
        scored.push(times[1] - times[0]);
    }
    let base = direct.iter().copied().collect::<Samples>().median().expect("samples");
    // The provider writes for a second from its first piece on.
    let scored = scored.iter().map(|time| time - 1e3 * 7.0 / 8.0).collect();
    let mut requests = Vec::new();
    for _ in 0..5 {
        requests.push(talk.whole(SHORT).await as f64);
    }
    let (mut cpu, mut short) = (Vec::new(), Vec::new());
    for _ in 0..LONG_TURNS {
        for (message, used) in [(LONG, &mut cpu), (SHORT, &mut short)] {
            let before = cpu_millis();
            until(talk.streamed(message), &["event: run.completed"]).await;
            used.push(cpu_millis() - before);
        }
    }
    let short: Samples = short.into_iter().collect();
    let turn = short.median().expect("samples");
    let mut rows = vec![
        Row::within(
            "first word of a turn after 20 turns, added to asking the model directly",
            &added(&persona, base),
            Unit::Millis,
            (40.0, 80.0),
        ),
        Row::shown("for scale: asking the model directly", &direct.into_iter().collect(), Unit::Millis),
        Row::all_within("DynamoDB requests of a turn", &requests.into_iter().collect(), Unit::Count, 6.0),
        Row::median_within(
            "processor time of the function per 1,000 pieces that it relays",
            &added(&cpu, turn),
            Unit::Millis,
            30.0,
        ),
        Row::shown("for scale: the same of a whole turn of 8 pieces", &short, Unit::Millis),
        Row::within(
            "drift known after the last word, beside a judge that answers at once",
            &scored,
            Unit::Millis,
            (150.0, 150.0),
        ),
    ];
    if !proxied.is_empty() {
        let label = "the same talk through LiteLLM's proxy, added to asking the model directly";
        rows.insert(1, Row::shown(label, &added(&proxied, base), Unit::Millis));
    }
    rows
}
