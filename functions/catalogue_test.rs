//! Holds the `[[bin]]` list, the cargo-lambda router, `template.yaml` and `infra/data.yaml` equal to the catalogue.
//! Whether each action of the policies is enough, and none too many, is for `infra/deploy/smoke.py`, which runs them.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::LazyLock,
};

use persona::{config::Setting, key::Scope};
use serde_json::{Map, Value, json};

use crate::{OPEN_ROUTES, ROUTES, WORKERS, endpoints};

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/// The gateway gives up on a buffered answer after so many seconds.
const GATEWAY_SECONDS: u64 = 29;

/// What begins or ends runs, or makes vectors: it counts them.
const COUNTERS: [&str; 9] = [
    "personas-create",
    "personas-refine",
    "runs-replay",
    "runs-cancel",
    "messages-create",
    "completions-create",
    "embeddings-create",
    "mcp-call",
    "worker-steps",
];

/// Every binary, with what its environment must have.
fn lambdas() -> BTreeMap<&'static str, &'static [Setting]> {
    let routes = ROUTES.iter().map(|route| (route.bin, route.settings));
    let open = OPEN_ROUTES.iter().map(|route| (route.bin, route.settings));
    routes.chain(open).chain(WORKERS.iter().map(|worker| (worker.bin, worker.settings))).collect()
}

fn bins() -> BTreeSet<&'static str> {
    lambdas().into_keys().collect()
}

/// `template.yaml` as JSON. Its short tags are dropped: `!GetAtt Data.Outputs.X` is the text `Data.Outputs.X`.
static TEMPLATE: LazyLock<Value> =
    LazyLock::new(|| serde_saphyr::from_str(include_str!("../template.yaml")).unwrap());

static DATA: LazyLock<Value> =
    LazyLock::new(|| serde_saphyr::from_str(include_str!("../infra/data.yaml")).unwrap());

fn resources(template: &Value, kind: &str) -> Vec<(String, Value)> {
    let all = template["Resources"].as_object().unwrap().iter();
    all.filter(|(_, resource)| resource["Type"] == kind).map(|(id, it)| (id.clone(), it.clone())).collect()
}

/// A function of the template, the globals applied.
struct Function {
    id: String,
    properties: Value,
}

impl Function {
    fn timeout(&self) -> u64 {
        self.properties["Timeout"].as_u64().unwrap()
    }

    fn variables(&self) -> Map<String, Value> {
        self.properties["Environment"]["Variables"].as_object().unwrap().clone()
    }

    fn events(&self, kind: &str) -> Vec<Value> {
        let events = self.properties["Events"].as_object().into_iter().flat_map(Map::values);
        events.filter(|event| event["Type"] == kind).map(|event| event["Properties"].clone()).collect()
    }

    /// Statements of its own, and names of shared policies.
    fn policies(&self) -> (Vec<Value>, Vec<String>) {
        let policies = self.properties["Policies"].as_array().cloned().unwrap_or_default();
        let statements = |policy: &Value| policy["Statement"].as_array().cloned().unwrap_or_default();
        let shared = policies.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        (policies.iter().flat_map(statements).collect(), shared)
    }
}

/// The functions of the template by binary.
fn functions() -> BTreeMap<String, Function> {
    let mut functions = BTreeMap::new();
    for (id, resource) in resources(&TEMPLATE, "AWS::Serverless::Function") {
        let binary = resource["Metadata"]["BuildProperties"]["Binary"].as_str().unwrap().to_owned();
        assert_eq!(resource["Metadata"]["BuildMethod"], "rust-cargolambda", "{id}");
        let mut properties = TEMPLATE["Globals"]["Function"].clone();
        merge(&mut properties, &resource["Properties"]);
        assert!(
            functions.insert(binary, Function { id: id.clone(), properties }).is_none(),
            "{id} is built twice"
        );
    }
    functions
}

/// A function's maps are added to the globals' maps; its other values replace theirs.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

fn texts(value: &Value) -> Vec<String> {
    let one = value.as_str().into_iter().map(str::to_owned);
    one.chain(value.as_array().into_iter().flatten().flat_map(texts)).collect()
}

/// `STEPS_QUEUE_URL` is the output `StepsQueueUrl`, `RUNS_TABLE` is `RunsTableName`.
fn output(setting: Setting) -> String {
    let word = |part: &str| part[..1].to_owned() + &part[1..].to_lowercase();
    let camel: String = setting.variable().split('_').map(word).collect();
    if camel.ends_with("Url") { camel } else { camel + "Name" }
}

/// The output with the ARN of what a setting names.
fn arn(setting: Setting) -> String {
    let output = output(setting);
    format!("Data.Outputs.{}Arn", output.strip_suffix("Name").or(output.strip_suffix("Url")).unwrap())
}

// ── binaries and the local router ──

#[test]
fn every_lambda_has_its_binary_and_no_other_exists() {
    let manifest = include_str!("Cargo.toml");
    let section = manifest.split("[[bin]]").skip(1);
    let named: BTreeSet<&str> = section.map(|bin| bin.split('"').nth(1).unwrap()).collect();
    assert_eq!(named, bins());
}

#[test]
fn the_local_router_sends_every_route_to_its_binary_and_the_rest_to_the_fallback() {
    let paths = unique(endpoints().map(|route| route.path).chain(["/{*path}"]));
    let mut table = String::new();
    for path in paths {
        let entry = |method: &str| {
            let route = endpoints().find(|route| route.path == path && route.method == method);
            format!(
                "{{ method = \"{method}\", function = \"{}\" }}",
                route.map_or("fallback", |route| route.bin)
            )
        };
        let entries: Vec<String> = METHODS.into_iter().map(entry).collect();
        writeln!(table, "\"{path}\" = [{}]", entries.join(", ")).unwrap();
    }
    let manifest = include_str!("../Cargo.toml");
    let router = manifest.split("[workspace.metadata.lambda.watch.router]\n").nth(1).unwrap();
    assert!(router == table, "let the table at the end of Cargo.toml be:\n{table}");
}

fn unique<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = BTreeSet::new();
    names.filter(|name| seen.insert(*name)).collect()
}

#[test]
fn every_body_schema_is_json_and_closed() {
    for route in ROUTES {
        if let Some(text) = route.body {
            let schema: Value = serde_json::from_str(text).unwrap();
            // What a card has beside the known is kept, whatever it is.
            let open = schema["x-checked-with"] == "card";
            assert_eq!(schema["additionalProperties"], open, "{}", route.bin);
        }
    }
}

// ── template.yaml ──

#[test]
fn the_template_has_a_function_for_every_lambda_and_no_other() {
    let functions = functions();
    assert_eq!(functions.keys().map(String::as_str).collect::<BTreeSet<_>>(), bins());
    for (binary, function) in &functions {
        let properties = &function.properties;
        assert_eq!(properties["FunctionName"], format!("${{Prefix}}-{binary}"));
        assert_eq!(properties["Handler"], "bootstrap", "{binary}");
        assert_eq!(properties["Runtime"], "provided.al2023", "{binary}");
        assert_eq!(properties["Architectures"], json!(["Architecture"]), "{binary}");
        assert!(properties["MemorySize"].as_u64().unwrap() >= 256, "{binary}: TLS is slow on less");
    }
}

#[test]
fn every_route_has_its_method_path_and_transfer_mode() {
    let functions = functions();
    let streaming: Vec<&str> = ROUTES.iter().filter(|route| route.streaming).map(|route| route.bin).collect();
    for route in endpoints() {
        let function = &functions[route.bin];
        let mut wanted =
            json!({"RestApiId": "Api", "Method": route.method.to_lowercase(), "Path": route.path});
        if streaming.contains(&route.bin) {
            // The transform takes any other word for "buffered", without one of its own.
            wanted["ResponseTransferMode"] = json!("RESPONSE_STREAM");
            wanted["TimeoutInMillis"] = json!(function.timeout() * 1_000);
        } else {
            assert_eq!(function.timeout(), GATEWAY_SECONDS, "{}", route.bin);
        }
        assert_eq!(function.events("Api"), [wanted], "{}", route.bin);
        assert_eq!(function.properties["Events"].as_object().unwrap().len(), 1, "{}", route.bin);
    }
}

#[test]
fn the_fallback_answers_every_other_path_and_method() {
    let functions = functions();
    let events = functions["fallback"].events("Api");
    let listed: BTreeSet<_> = events.iter().map(|event| event["Path"].as_str().unwrap()).collect();
    let wanted: BTreeSet<_> = endpoints().map(|route| route.path).chain(["/", "/{proxy+}"]).collect();
    assert_eq!(listed, wanted);
    assert!(events.iter().all(|event| event["Method"] == "any" && event["RestApiId"] == "Api"));
}

#[test]
fn workers_have_no_route_and_are_called_by_their_queue_or_schedule() {
    let functions = functions();
    for worker in WORKERS.iter().filter(|worker| worker.bin != "fallback") {
        assert!(functions[worker.bin].events("Api").is_empty(), "{}", worker.bin);
    }
    let every_minute = functions["worker-reaper"].events("Schedule");
    assert_eq!(every_minute, [json!({"Schedule": "rate(1 minute)"})]);

    let sources = resources(&TEMPLATE, "AWS::Lambda::EventSourceMapping");
    assert_eq!(sources.len(), QUEUES.len());
    for (binary, setting, batch) in QUEUES {
        let worker = &functions[binary];
        let (_, source) =
            sources.iter().find(|(_, it)| it["Properties"]["FunctionName"] == worker.id).unwrap();
        assert_eq!(source["Properties"]["EventSourceArn"], arn(setting), "{binary}");
        assert_eq!(source["Properties"]["BatchSize"], batch, "{binary}");
        assert_eq!(
            source["Properties"]["FunctionResponseTypes"],
            json!(["ReportBatchItemFailures"]),
            "{binary}"
        );

        let name = output(setting).strip_suffix("QueueUrl").unwrap().to_owned();
        let queue = &DATA["Resources"][format!("{name}Queue")]["Properties"];
        let hidden = queue["VisibilityTimeout"].as_u64().unwrap();
        assert!(hidden >= 6 * worker.timeout(), "{binary}: slow work would come twice");
        let dead = format!("{name}DeadLetterQueue.Arn");
        assert_eq!(queue["RedrivePolicy"]["deadLetterTargetArn"], dead, "{binary}");
    }
}

/// Workers by their queue, and how many messages they take at once.
const QUEUES: [(&str, Setting, u64); 3] = [
    ("worker-steps", Setting::StepsQueueUrl, 1),
    ("worker-webhook-fanout", Setting::EventsQueueUrl, 10),
    ("worker-webhook-deliveries", Setting::DeliveriesQueueUrl, 5),
];

#[test]
fn a_function_is_told_of_what_it_needs_and_of_nothing_else() {
    let functions = functions();
    for (binary, settings) in lambdas() {
        let mut variables = functions[binary].variables();
        assert_eq!(variables.remove("PERSONA_LOG"), Some(json!("LogFilter")), "{binary}");
        assert_eq!(variables.remove("AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH"), Some(json!("true")), "{binary}");
        let wanted: Map<String, Value> = settings
            .iter()
            .map(|setting| {
                (setting.variable().to_owned(), json!(format!("Data.Outputs.{}", output(*setting))))
            })
            .collect();
        assert_eq!(variables, wanted, "{binary}");
    }
}

#[test]
fn a_function_may_reach_what_its_environment_names_and_nothing_else() {
    let functions = functions();
    for (binary, settings) in lambdas() {
        let (statements, shared) = functions[binary].policies();
        let mut reached: BTreeSet<String> = BTreeSet::new();
        for statement in &statements {
            let actions = texts(&statement["Action"]);
            assert!(
                !actions.iter().any(|action| action.contains('*')),
                "{binary}: {actions:?}; name each action"
            );
            assert!(!actions.contains(&"dynamodb:Scan".to_owned()), "{binary} may scan; nothing needs to");
            for resource in texts(&statement["Resource"]) {
                assert_ne!(resource, "*", "{binary}: {actions:?} on every resource");
                if !is_model(&resource) && resource != "${Table}/index/active" {
                    reached.insert(resource);
                }
            }
            assert!(
                actions.iter().all(|action| fits(action, &statement["Resource"])),
                "{binary}: {statement}"
            );
        }
        let mut wanted: BTreeSet<String> = settings.iter().map(|setting| arn(*setting)).collect();
        let route = ROUTES.iter().find(|route| route.bin == binary);
        if let Some(route) = route {
            let once = (route.method == "POST").then_some("Once");
            let account = COUNTERS.contains(&binary).then_some("Account");
            let lent: Vec<&str> = ["Authenticate"].into_iter().chain(once).chain(account).collect();
            assert_eq!(shared, lent, "{binary}");
            // Taking a token from the workspace's bucket is all that most routes do to that table.
            if !reached.contains(&arn(Setting::WorkspacesTable)) {
                wanted.remove(&arn(Setting::WorkspacesTable));
            }
        } else {
            let account = COUNTERS.contains(&binary);
            assert_eq!(shared, Vec::from_iter(account.then_some("Account")), "{binary} authenticates nobody");
            if account {
                wanted.remove(&arn(Setting::WorkspacesTable));
            }
        }
        reached.retain(|resource| !resource.is_empty());
        assert_eq!(reached, wanted, "{binary}");
    }
}

fn is_model(resource: &str) -> bool {
    resource.contains(":bedrock:")
}

/// Whether an action is of the resource's own service.
fn fits(action: &str, resource: &Value) -> bool {
    let service = action.split(':').next().unwrap_or_default();
    texts(resource).iter().all(|resource| match service {
        "dynamodb" => resource.ends_with("TableArn") || resource == "${Table}/index/active",
        "sqs" => resource.ends_with("QueueArn"),
        "secretsmanager" => resource.ends_with("SecretArn") && action == "secretsmanager:GetSecretValue",
        "bedrock" => is_model(resource),
        _ => false,
    })
}

#[test]
fn nothing_is_called_without_a_key_but_what_signs_people_in() {
    for route in OPEN_ROUTES {
        assert!(route.path.starts_with("/v1/auth/"), "{}", route.bin);
    }
    assert!(ROUTES.iter().all(|route| !route.path.starts_with("/v1/auth/")));
}

#[test]
fn who_signs_in_reaches_no_tenant_but_through_a_membership() {
    // Partitions that begin with these are nobody's, or are what a membership and its key are made of.
    let nobody = ["AUTH#*", "KEY#*"];
    let members = ["WS#*#MEMBERS", "WS#*"];
    let functions = functions();
    for route in OPEN_ROUTES {
        for statement in functions[route.bin].policies().0 {
            if !texts(&statement["Action"]).iter().all(|action| action.starts_with("dynamodb:")) {
                continue;
            }
            let keys = texts(&statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]);
            assert!(!keys.is_empty(), "{}: {statement}", route.bin);
            assert_eq!(
                statement["Condition"]["Null"],
                json!({"dynamodb:LeadingKeys": "false"}),
                "{}",
                route.bin
            );
            for key in keys {
                assert!(
                    nobody.contains(&key.as_str()) || members.contains(&key.as_str()),
                    "{}: {key}",
                    route.bin
                );
            }
        }
    }
}

#[test]
fn a_route_of_scope_read_writes_nothing() {
    let functions = functions();
    let reads = ["GetItem", "BatchGetItem", "Query", "GetSecretValue"];
    for route in ROUTES.iter().filter(|route| route.scope == Scope::Read) {
        for statement in functions[route.bin].policies().0 {
            for action in texts(&statement["Action"]) {
                assert!(reads.contains(&action.split(':').nth(1).unwrap()), "{} may {action}", route.bin);
            }
        }
    }
}

#[test]
fn authentication_may_read_whose_a_key_is_and_update_admission_only() {
    let policy = TEMPLATE["Resources"]["Authenticate"]["Properties"]["PolicyDocument"].clone();
    let may = |action: &str, keys: &str| {
        json!({
            "Effect": "Allow",
            "Action": [action],
            "Resource": arn(Setting::WorkspacesTable),
            "Condition": {
                "ForAllValues:StringLike": {"dynamodb:LeadingKeys": [keys]},
                "Null": {"dynamodb:LeadingKeys": "false"},
            },
        })
    };
    let wanted = json!([may("dynamodb:GetItem", "KEY#*"), may("dynamodb:UpdateItem", "WS#*#ADMISSION")]);
    assert_eq!(policy["Statement"], wanted);
}

#[test]
fn every_function_is_traced_and_logs_to_the_group_with_a_retention() {
    assert!(TEMPLATE["Resources"]["Logs"]["Properties"]["RetentionInDays"].as_u64().unwrap() > 0);
    assert_eq!(TEMPLATE["Resources"]["Api"]["Properties"]["TracingEnabled"], true);
    for (binary, function) in functions() {
        assert_eq!(function.properties["Tracing"], "Active", "{binary}");
        assert_eq!(
            function.properties["LoggingConfig"],
            json!({"LogGroup": "Logs", "LogFormat": "JSON"}),
            "{binary}"
        );
    }
}

#[test]
fn alarms_watch_dead_letters_server_errors_and_the_workers() {
    let functions = functions();
    let mut watched = BTreeSet::new();
    for (id, alarm) in resources(&TEMPLATE, "AWS::CloudWatch::Alarm") {
        let properties = &alarm["Properties"];
        assert_eq!(properties["ComparisonOperator"], "GreaterThanThreshold", "{id}");
        assert_eq!(texts(&properties["AlarmActions"])[1], "AlarmTopic", "{id}");
        let metric = properties["MetricName"].as_str().unwrap().to_owned();
        for dimension in properties["Dimensions"].as_array().unwrap() {
            watched.insert((metric.clone(), dimension["Value"].as_str().unwrap().to_owned()));
        }
    }
    let wanted = [
        ("ApproximateNumberOfMessagesVisible", "Data.Outputs.StepsDeadLetterQueueName"),
        ("ApproximateNumberOfMessagesVisible", "Data.Outputs.EventsDeadLetterQueueName"),
        ("ApproximateNumberOfMessagesVisible", "Data.Outputs.DeliveriesDeadLetterQueueName"),
        ("ApproximateAgeOfOldestMessage", "Data.Outputs.StepsQueueName"),
        ("ApproximateAgeOfOldestMessage", "Data.Outputs.EventsQueueName"),
        ("ApproximateAgeOfOldestMessage", "Data.Outputs.DeliveriesQueueName"),
        ("5XXError", "Prefix"),
        ("5XXError", "Api.Stage"),
        ("Errors", &functions["worker-steps"].id),
        ("Errors", &functions["worker-webhook-fanout"].id),
        ("Errors", &functions["worker-webhook-deliveries"].id),
        ("Errors", &functions["worker-reaper"].id),
    ];
    for (metric, of) in wanted {
        assert!(
            watched.contains(&(metric.to_owned(), of.to_owned())),
            "no alarm on {metric} of {of}: {watched:?}"
        );
    }
}

// ── infra/data.yaml ──

#[test]
fn tables_are_on_demand_recoverable_and_forget_in_time() {
    let tables = resources(&DATA, "AWS::DynamoDB::Table");
    assert!(!tables.is_empty());
    for (id, table) in tables {
        let properties = &table["Properties"];
        assert_eq!(properties["BillingMode"], "PAY_PER_REQUEST", "{id}");
        assert_eq!(
            properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], true,
            "{id}"
        );
        assert_eq!(
            properties["TimeToLiveSpecification"],
            json!({"AttributeName": "expires_at", "Enabled": true}),
            "{id}"
        );
        assert_eq!(properties["SSESpecification"]["SSEEnabled"], true, "{id}");
        assert_eq!(table["DeletionPolicy"], json!(["Production", "Retain", "Delete"]), "{id}");
        let keys: Vec<_> =
            properties["KeySchema"].as_array().unwrap().iter().map(|k| k["AttributeName"].clone()).collect();
        assert_eq!(keys, ["pk", "sk"], "{id}");
    }
}

#[test]
fn every_setting_is_an_output_with_its_arn() {
    let outputs = DATA["Outputs"].clone();
    for setting in Setting::ALL {
        assert!(outputs.get(output(*setting)).is_some(), "{}", output(*setting));
        let arn = arn(*setting);
        assert!(outputs.get(arn.strip_prefix("Data.Outputs.").unwrap()).is_some(), "{arn}");
    }
}
