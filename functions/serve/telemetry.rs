//! Logs and metrics: JSON lines, one per call, with CloudWatch's embedded metric format in the same line's stream.

use std::sync::{
    OnceLock,
    atomic::{AtomicBool, Ordering},
};

use persona::id::{RequestId, WorkspaceId};
use serde_json::{Value, json};
use tracing_subscriber::EnvFilter;

use crate::Route;

static SERVICE: OnceLock<&'static str> = OnceLock::new();
static COLD: AtomicBool = AtomicBool::new(true);

/// Starts JSON logging to standard output. `PERSONA_LOG` filters, default `info`.
pub fn install(service: &'static str) {
    let filter = EnvFilter::try_from_env("PERSONA_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let _ = SERVICE.set(service);
    let _ = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(filter)
        .with_current_span(false)
        .with_span_list(false)
        .with_target(false)
        .try_init();
}

/// Whether this is the process's first call.
pub fn cold_start() -> bool {
    COLD.swap(false, Ordering::Relaxed)
}

/// What a call came to.
pub(super) struct CallEnded {
    pub(super) route: &'static Route,
    pub(super) request_id: RequestId,
    pub(super) workspace: Option<WorkspaceId>,
    pub(super) status: u16,
    pub(super) latency_ms: u64,
    pub(super) store_requests: u64,
}

/// The one line of a call.
pub(super) fn call_ended(call: &CallEnded) {
    let workspace = call.workspace.map(|id| id.to_string());
    tracing::info!(
        service = SERVICE.get().copied(), cold_start = cold_start(), request.id = %call.request_id, workspace.id = workspace,
        http.method = call.route.method, http.route = call.route.path, http.status = call.status,
        latency_ms = call.latency_ms, store.requests = call.store_requests, "call ended"
    );
    emit(
        &json!({"route": call.route.bin, "status_class": format!("{}xx", call.status / 100)}),
        &[
            ("latency", "Milliseconds", call.latency_ms as f64),
            ("store_requests", "Count", call.store_requests as f64),
            ("errors", "Count", f64::from(u8::from(call.status >= 500))),
        ],
    );
}

/// One line in CloudWatch's embedded metric format.
#[expect(clippy::print_stdout, reason = "the format is read from standard output as it is")]
pub fn emit(dimensions: &Value, metrics: &[(&str, &str, f64)]) {
    use persona::clock::{Clock, SystemClock};
    let names: Vec<&String> = dimensions.as_object().into_iter().flat_map(|map| map.keys()).collect();
    let listed: Vec<Value> =
        metrics.iter().map(|(name, unit, _)| json!({"Name": name, "Unit": unit})).collect();
    let mut line = json!({"_aws": {
        "Timestamp": SystemClock.epoch_millis(),
        "CloudWatchMetrics": [{"Namespace": "Persona", "Dimensions": [names], "Metrics": listed}],
    }});
    for (name, value) in dimensions.as_object().into_iter().flatten() {
        line[name] = value.clone();
    }
    for (name, _, value) in metrics {
        line[*name] = json!(value);
    }
    println!("{line}");
}
