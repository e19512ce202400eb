//! Logs: one JSON object a line on standard output, as docs/LOGGING.md says. What is known of a call (request,
//! workspace, run, step) is kept in spans and stands on each of its lines.

use std::{
    fmt,
    io::Write,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use persona::clock::{Clock, SystemClock};
use serde_json::{Map, Value, json};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};
use tracing_subscriber::{
    EnvFilter, Layer, layer::Context, layer::SubscriberExt, registry::LookupSpan, registry::Scope,
    util::SubscriberInitExt,
};

use super::metrics;

static SERVICE: OnceLock<&'static str> = OnceLock::new();
static INVOCATIONS: AtomicU64 = AtomicU64::new(0);

/// Starts logging. `PERSONA_LOG` filters, default `info`; lines that carry metrics are always written.
pub fn install(service: &'static str) {
    let _ = SERVICE.set(service);
    let mut filter = EnvFilter::try_from_env("PERSONA_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    if let Ok(always) = format!("{}=info", persona::METRICS).parse() {
        filter = filter.add_directive(always);
    }
    let _ = tracing_subscriber::registry().with(filter).with(Lines).try_init();
    std::panic::set_hook(Box::new(|panicked| {
        // The place alone: the message of a panic may quote the text it was about.
        let place = panicked.location().map(ToString::to_string);
        tracing::error!(error.source = place, "a call panicked");
    }));
}

/// Counts an invocation: its lines, and those before it, say `cold_start` if it is the process's first.
pub fn invocation_begins() {
    INVOCATIONS.fetch_add(1, Ordering::Relaxed);
}

/// The layer that writes the lines.
struct Lines;

impl<S: Subscriber + for<'span> LookupSpan<'span>> Layer<S> for Lines {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id).filter(|_| is_ours(attributes.metadata())) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        if !is_ours(metadata) && *metadata.level() > Level::INFO {
            // What libraries say in detail quotes payloads.
            return;
        }
        let mut known = Map::new();
        for span in context.event_scope(event).into_iter().flat_map(Scope::from_root) {
            if let Some(Fields(fields)) = span.extensions().get::<Fields>() {
                known.extend(fields.clone());
            }
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let line = format!("{}\n", Value::Object(line(metadata, known, fields)));
        // Whole, so that lines of processes which share a pipe do not mix. A log that fails has nobody to tell.
        let _ = std::io::stdout().lock().write_all(line.as_bytes());
    }
}

/// The line of an event: what every line has, then what spans know, then its own fields.
fn line(
    metadata: &Metadata<'_>,
    known: Map<String, Value>,
    Fields(mut fields): Fields,
) -> Map<String, Value> {
    let mut line = Map::new();
    let mut put = |name: &str, value: Value| line.insert(name.to_owned(), value);
    put("timestamp", SystemClock.timestamp().into());
    put("level", metadata.level().as_str().into());
    put("message", fields.remove("message").unwrap_or_default());
    put("service", SERVICE.get().copied().into());
    put("cold_start", (INVOCATIONS.load(Ordering::Relaxed) <= 1).into());
    line.extend(known);
    if is_ours(metadata) {
        line.extend(fields);
    } else {
        // A library's sentence is kept, and who said it; its fields may quote payloads.
        line.insert("library".to_owned(), metadata.target().into());
    }
    if metadata.target() == persona::METRICS
        && let Some(measured) = metrics::of_line(&line, SystemClock.epoch_millis())
    {
        line.insert("_aws".to_owned(), measured);
    }
    line
}

/// Whether a line or a span is of this project's own code.
fn is_ours(metadata: &Metadata<'_>) -> bool {
    let crate_name = metadata.target().split("::").next().unwrap_or_default();
    matches!(crate_name, "persona" | "functions")
}

/// Fields by name; absent ones are left out.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        self.0.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, json!(value));
    }
}
