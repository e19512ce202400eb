//! How soon each binary asks for its first invocation, against a bare function with a DynamoDB client, and its size.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use functions::{ROUTES, WORKERS};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    process::Command,
    time::timeout,
};

use crate::{
    binaries_of_stack,
    figures::{Row, Samples, Unit},
};

const REPETITIONS: usize = 25;
const PATIENCE: Duration = Duration::from_secs(10);
const MEBIBYTE: f64 = 1_048_576.0;

/// A Runtime API that has no work: it only hears who asks.
struct RuntimeApi {
    listener: TcpListener,
    address: String,
}

impl RuntimeApi {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        Self { listener, address }
    }

    /// Milliseconds from the start of a process to its first question for work; the process is ended then.
    async fn init(&self, binary: &Path) -> f64 {
        let begun = Instant::now();
        let mut process = Command::new(binary)
            .env("AWS_LAMBDA_RUNTIME_API", &self.address)
            .env("AWS_LAMBDA_FUNCTION_NAME", "bench")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("a process");
        let asked = async {
            loop {
                let (stream, _) = self.listener.accept().await.expect("a connection");
                let mut line = String::new();
                BufReader::new(stream).read_line(&mut line).await.expect("a request");
                if line.starts_with("GET /2018-06-01/runtime/invocation/next ") {
                    return begun.elapsed().as_secs_f64() * 1e3;
                }
            }
        };
        let millis = timeout(PATIENCE, asked)
            .await
            .unwrap_or_else(|_| panic!("{} asks for no work", binary.display()));
        process.kill().await.expect("the process ends");
        millis
    }
}

/// The rows. Repetitions are interleaved, so that what slows the machine slows all alike.
pub(crate) async fn measure() -> Vec<Row> {
    let api = RuntimeApi::start().await;
    let folder = binaries_of_stack();
    let bare = folder.join("bare");
    let names: Vec<&str> = ROUTES.iter().map(|r| r.bin).chain(WORKERS.iter().map(|w| w.bin)).collect();
    let binaries: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).collect();
    let mut bare_millis = Vec::new();
    let mut millis = vec![Vec::new(); binaries.len()];
    for _ in 0..REPETITIONS {
        for (binary, millis) in binaries.iter().zip(&mut millis) {
            bare_millis.push(api.init(&bare).await);
            millis.push(api.init(binary).await);
        }
    }
    let bare_millis: Samples = bare_millis.into_iter().collect();
    let base = bare_millis.median().expect("samples");
    let millis: Vec<Samples> = millis.into_iter().map(Samples::from_iter).collect();
    let ratios: Vec<f64> = millis.iter().filter_map(|each| Some(each.median()? / base)).collect();
    let slowest = (0..names.len()).max_by(|a, b| ratios[*a].total_cmp(&ratios[*b])).expect("a function");
    let mut rows = vec![
        Row::shown("init of a bare function (spawn to first poll)", &bare_millis, Unit::Millis),
        Row::shown(
            &format!("init of the slowest binary, `{}`", names[slowest]),
            &millis[slowest],
            Unit::Millis,
        ),
        Row::all_within(
            "init of each binary (its median) against the bare function's",
            &ratios.into_iter().collect(),
            Unit::Ratio,
            1.25,
        ),
    ];
    let built = names.iter().filter_map(|name| {
        let bootstrap = folder.with_file_name("lambda").join(name).join("bootstrap");
        Some(fs::metadata(bootstrap).ok()?.len() as f64 / MEBIBYTE)
    });
    let built: Vec<f64> = built.collect();
    if built.len() == names.len() {
        let label = "size of each binary, as `make build` left it";
        rows.push(Row::all_within(label, &built.into_iter().collect(), Unit::Mebibytes, 12.0));
    }
    rows
}
