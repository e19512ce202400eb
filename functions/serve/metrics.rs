//! Metrics: CloudWatch's embedded metric format, written into the log line that holds the values, so that they cost
//! no call. Dimensions have few values: a service, a route, a step, a model; never a workspace or a run.

use serde_json::{Map, Value, json};

/// Where CloudWatch keeps them.
const NAMESPACE: &str = "Persona";

/// What lines of one kind measure. A metric is the field of that name; docs/LOGGING.md says what it means.
pub(super) struct Measure {
    /// Fields by which the metrics are told apart.
    pub(super) dimensions: &'static [&'static str],
    /// Fields and their units. A line is of this kind when it has the first one.
    pub(super) metrics: &'static [(&'static str, &'static str)],
}

/// Every metric there is.
pub(super) const MEASURES: &[Measure] = &[
    Measure {
        dimensions: &["service", "http.route"],
        metrics: &[
            ("http.latency_ms", "Milliseconds"),
            ("http.first_byte_ms", "Milliseconds"),
            ("http.errors", "Count"),
            ("http.refusals", "Count"),
            ("store.requests", "Count"),
        ],
    },
    Measure {
        dimensions: &["step", "pipeline"],
        metrics: &[
            ("step.latency_ms", "Milliseconds"),
            ("step.queue_ms", "Milliseconds"),
            ("step.errors", "Count"),
            ("tokens.in", "Count"),
            ("tokens.out", "Count"),
            ("cost_micro_usd", "None"),
        ],
    },
    Measure {
        dimensions: &["service"],
        metrics: &[("event.wait_ms", "Milliseconds"), ("event.deliveries", "Count")],
    },
    Measure {
        dimensions: &["service"],
        metrics: &[
            ("delivery.latency_ms", "Milliseconds"),
            ("delivery.wait_ms", "Milliseconds"),
            ("delivery.errors", "Count"),
        ],
    },
    Measure {
        dimensions: &["provider.name", "provider.model"],
        metrics: &[
            ("provider.latency_ms", "Milliseconds"),
            ("provider.errors", "Count"),
            ("tokens.in", "Count"),
            ("tokens.out", "Count"),
            ("cost_micro_usd", "None"),
        ],
    },
];

impl Measure {
    /// The directive that makes this line's fields metrics; `None` for a line of another kind.
    fn directive(&self, line: &Map<String, Value>) -> Option<Value> {
        let (first, _) = self.metrics.first()?;
        let whole = line.contains_key(*first)
            && self.dimensions.iter().all(|name| line.get(*name).is_some_and(Value::is_string));
        let present = |(name, _): &&(&str, &str)| line.get(*name).is_some_and(Value::is_number);
        let metrics: Vec<Value> = self
            .metrics
            .iter()
            .filter(present)
            .map(|(name, unit)| json!({"Name": name, "Unit": unit}))
            .collect();
        whole.then(|| json!({"Namespace": NAMESPACE, "Dimensions": [self.dimensions], "Metrics": metrics}))
    }
}

/// What makes a line's fields metrics: the value of `_aws`; `None` where it measures nothing.
pub(super) fn of_line(line: &Map<String, Value>, epoch_millis: i64) -> Option<Value> {
    let directives: Vec<Value> = MEASURES.iter().filter_map(|measure| measure.directive(line)).collect();
    (!directives.is_empty()).then(|| json!({"Timestamp": epoch_millis, "CloudWatchMetrics": directives}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(value: &Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn a_line_of_a_step_is_measured_by_step_and_pipeline_alone() {
        let line = line(&json!({
            "service": "worker-steps", "run_id": "run_1", "step": "soul_draft", "pipeline": "default",
            "step.latency_ms": 12, "step.errors": 0, "tokens.in": 3, "cost_micro_usd": 5,
        }));
        let metrics = json!([
            {"Name": "step.latency_ms", "Unit": "Milliseconds"}, {"Name": "step.errors", "Unit": "Count"},
            {"Name": "tokens.in", "Unit": "Count"}, {"Name": "cost_micro_usd", "Unit": "None"},
        ]);
        assert_eq!(
            of_line(&line, 1_000),
            Some(json!({"Timestamp": 1000, "CloudWatchMetrics": [
                {"Namespace": "Persona", "Dimensions": [["step", "pipeline"]], "Metrics": metrics},
            ]}))
        );
    }

    #[test]
    fn a_call_to_a_model_within_a_step_is_not_counted_as_the_step() {
        let line = line(&json!({
            "step": "soul_draft", "pipeline": "default", "provider.name": "sandbox", "provider.model": "sandbox-1",
            "provider.latency_ms": 1, "tokens.in": 3,
        }));
        let made = of_line(&line, 0).unwrap_or_default();
        assert_eq!(made["CloudWatchMetrics"].as_array().map(Vec::len), Some(1));
        assert_eq!(made["CloudWatchMetrics"][0]["Dimensions"], json!([["provider.name", "provider.model"]]));
    }

    #[test]
    fn the_page_names_each_metric_with_its_unit_and_dimensions_and_no_other() {
        let page = include_str!("../../docs/LOGGING.md");
        let section = page.split("## Metrics").nth(1).unwrap_or_default();
        let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| `")).collect();
        let mut names: Vec<&str> = Vec::new();
        for measure in MEASURES {
            let by: Vec<String> = measure.dimensions.iter().map(|name| format!("`{name}`")).collect();
            for (name, unit) in measure.metrics {
                let row = rows.iter().find(|row| row.starts_with(&format!("| `{name}` | {unit} |")));
                assert!(row.is_some_and(|row| row.contains(&by.join(", "))), "{name} in {unit} by {by:?}");
                names.push(name);
            }
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(rows.len(), names.len(), "a metric on the page is not made: {rows:?}");
    }

    #[test]
    fn no_dimension_names_a_tenant_and_a_line_without_measures_stays_as_it_is() {
        let dimensions = MEASURES.iter().flat_map(|measure| measure.dimensions);
        assert!(
            dimensions.clone().all(|name| !name.ends_with("_id")),
            "{:?}",
            dimensions.collect::<Vec<_>>()
        );
        assert_eq!(of_line(&line(&json!({"service": "x", "message": "m"})), 0), None);
    }
}
