//! What the functions log while the other tests run: the fields of docs/LOGGING.md, its metrics, and no secret.

use std::{collections::BTreeSet, env, fs, path::PathBuf, time::Duration};

use serde_json::{Value, json};
use tests::{
    Workspace,
    support::sign_in::{Account, Browser, Program},
};

const PAGE: &str = include_str!("../../docs/LOGGING.md");
/// Words of an intent that nothing else contains.
const MARKER: &str = "quartzwhistle";
/// On every line.
const ALWAYS: [&str; 5] = ["timestamp", "level", "message", "service", "cold_start"];

/// All that the stack has logged, as text. Processes share files, so a line stands alone.
fn logged() -> String {
    let folder = PathBuf::from(env::var("PERSONA_LOGS").expect("run under `infra/local exec --`"));
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|file| file.is_file()).map(|file| fs::read_to_string(file).unwrap_or_default()).collect()
}

/// The functions' lines; the tools of the stack write others.
fn lines(text: &str) -> Vec<Value> {
    // The last line may be half written.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole
        .lines()
        .filter(|line| line.starts_with("{\"timestamp\""))
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| json!({"not JSON": line})))
        .collect()
}

/// Names in the first column of the page's tables.
fn documented() -> BTreeSet<&'static str> {
    let cells = PAGE.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    cells.flat_map(|cell| cell.split(['`', ',', ' '])).filter(|name| !name.is_empty()).collect()
}

async fn until_logged(wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    for _ in 0..40 {
        let lines = lines(&logged());
        if wanted(&lines) {
            return lines;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    lines(&logged())
}

fn of_run<'l>(lines: &'l [Value], run: &str) -> Vec<&'l Value> {
    lines.iter().filter(|line| line["run_id"] == run).collect()
}

#[tokio::test]
async fn the_story_of_a_run_is_told_by_documented_fields() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona("A 47-year-old glazier from Porto who keeps bees").await;
    let run = persona["lineage"]["run_id"].as_str().unwrap();
    let told =
        until_logged(|lines| of_run(lines, run).iter().any(|line| line["run.status"] == "completed")).await;
    let story = of_run(&told, run);
    for line in &story {
        assert_eq!(line["workspace_id"], workspace.id.as_str(), "{line}");
        assert!(line["request_id"].is_string(), "{line}");
    }
    let steps: BTreeSet<&str> = story
        .iter()
        .filter(|line| line["message"] == "step ended")
        .map(|line| line["step"].as_str().unwrap())
        .collect();
    let run_object = workspace.get(&format!("/v1/runs/{run}")).await.json();
    let known: BTreeSet<&str> =
        run_object["steps"].as_array().unwrap().iter().map(|step| step["name"].as_str().unwrap()).collect();
    assert_eq!(steps, known, "one line a step");
    let ended = story.iter().filter(|line| line["message"] == "step ended").count();
    assert_eq!(ended, known.len(), "one line a step");
    assert!(story.iter().any(|line| line["service"] == "personas-create" && line["http.status"] == 201));
    assert!(
        story.iter().any(|line| line["message"] == "a model answered" && line["provider.name"] == "sandbox")
    );
}

#[tokio::test]
async fn every_line_has_what_the_page_promises_and_nothing_it_does_not_name() {
    let workspace = Workspace::test("team").await;
    for trigger in ["throttled", "invalid_json", "provider_unavailable"] {
        let body = json!({"intent": format!("[[trigger:{trigger}]] A 40-year-old baker from Leeds")});
        workspace.post("/v1/personas", &body).await;
    }
    let named = documented();
    let told = until_logged(|lines| lines.iter().any(|line| line["run.status"] == "failed")).await;
    for line in &told {
        let fields = line.as_object().unwrap();
        for field in ALWAYS {
            assert!(fields.contains_key(field), "no {field}: {line}");
        }
        for field in fields.keys() {
            assert!(named.contains(field.as_str()), "{field} is not on the page: {line}");
        }
        if line["message"] == "call ended" {
            for field in ["request_id", "http.method", "http.route", "http.status", "http.latency_ms"] {
                assert!(fields.contains_key(field), "no {field}: {line}");
            }
        }
        if line["service"] == "worker-steps" && line["message"] == "step ended" {
            for field in ["request_id", "workspace_id", "run_id", "step", "pipeline", "step.attempt"] {
                assert!(fields.contains_key(field), "no {field}: {line}");
            }
        }
    }
    let colds: BTreeSet<bool> = told.iter().filter_map(|line| line["cold_start"].as_bool()).collect();
    assert_eq!(
        colds,
        BTreeSet::from([false, true]),
        "the first invocation of a process is cold, the next is not"
    );
    assert!(told.iter().any(|line| line["provider.failure"] == "throttled"));
    assert!(told.iter().any(|line| line["error.code"] == "provider.unavailable"));
}

#[tokio::test]
async fn metrics_are_in_the_embedded_format_and_on_the_page() {
    let workspace = Workspace::test("team").await;
    workspace.persona("A 33-year-old surveyor from Oslo who swims in winter").await;
    let measured = |lines: &[Value]| -> BTreeSet<String> {
        let directives =
            lines.iter().filter_map(|line| line["_aws"]["CloudWatchMetrics"].as_array()).flatten();
        directives
            .flat_map(|directive| directive["Metrics"].as_array().cloned().unwrap_or_default())
            .map(|metric| metric["Name"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    let wanted = [
        "http.latency_ms",
        "http.errors",
        "step.latency_ms",
        "step.queue_ms",
        "step.errors",
        "provider.latency_ms",
        "tokens.in",
        "cost_micro_usd",
    ];
    let told = until_logged(|lines| wanted.iter().all(|name| measured(lines).contains(*name))).await;
    let (all, named) = (measured(&told), documented());
    for name in wanted {
        assert!(all.contains(name), "{name} is not measured: {all:?}");
    }
    for line in told.iter().filter(|line| line.get("_aws").is_some()) {
        assert!(line["_aws"]["Timestamp"].as_i64().unwrap() > 1_700_000_000_000, "{line}");
        for directive in line["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
            assert_eq!(directive["Namespace"], "Persona");
            for set in directive["Dimensions"].as_array().unwrap() {
                for dimension in set.as_array().unwrap() {
                    assert!(line[dimension.as_str().unwrap()].is_string(), "{dimension}: {line}");
                }
            }
            for metric in directive["Metrics"].as_array().unwrap() {
                let name = metric["Name"].as_str().unwrap();
                assert!(line[name].is_number() && named.contains(name), "{name}: {line}");
                let unit = metric["Unit"].as_str().unwrap();
                assert!(["Milliseconds", "Count", "None"].contains(&unit), "{line}");
                assert!(
                    PAGE.contains(&format!("| `{name}` | {unit} |")),
                    "{name} in {unit} is not on the page"
                );
            }
        }
    }
}

#[tokio::test]
async fn no_key_no_intent_no_prompt_and_no_completion_is_ever_logged() {
    let workspace = Workspace::test("team").await;
    let brief = format!("A 61-year-old {MARKER} maker from Riga who collects old radios");
    let persona = workspace.persona(&brief).await;
    let run = persona["lineage"]["run_id"].as_str().unwrap();
    workspace.post(&format!("/v1/runs/{run}/replay"), &json!({"mode": "exact"})).await;
    // Calls that fail while the marker is in their hands.
    for trigger in ["schema_violation", "provider_unavailable", "moderation_block", "invalid_json"] {
        workspace.post("/v1/personas", &json!({"intent": format!("[[trigger:{trigger}]] {brief}")})).await;
    }
    for body in [
        json!({"intent": [MARKER]}),
        json!({"intent": brief, "language": MARKER}),
        json!({"intent": brief, MARKER: 1}),
    ] {
        assert_eq!(workspace.post("/v1/personas", &body).await.status, 400);
    }
    assert_eq!(workspace.get(&format!("/v1/personas/{MARKER}")).await.status, 404);
    assert_eq!(workspace.get(&format!("/v1/personas?q={MARKER}")).await.status, 200);
    until_logged(|lines| of_run(lines, run).iter().any(|line| line["run.status"] == "completed")).await;

    let text = logged();
    let prompt = include_str!("../../shared/prompts/draft.j2");
    let prompt = prompt.lines().find(|line| line.starts_with("You invent characters")).unwrap();
    let secrets = [
        ("a key", workspace.key.as_str()),
        ("an intent", MARKER),
        ("a prompt", prompt),
        ("a completion", persona["soul"]["core_desire"].as_str().unwrap()),
        ("a completion", persona["voice"]["greeting"].as_str().unwrap()),
        ("a name that a model wrote", persona["identity"]["name"].as_str().unwrap()),
    ];
    for (what, secret) in secrets {
        let line = text.lines().find(|line| line.to_lowercase().contains(&secret.to_lowercase()));
        assert_eq!(line, None, "{what} is logged");
    }
    let keys =
        text.split(['"', ' ']).filter(|word| word.starts_with("pk_live_") || word.starts_with("pk_test_"));
    assert!(
        keys.clone().all(|word| word.len() < 30),
        "the key of another test is logged: {:?}",
        keys.collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn nothing_of_a_sign_in_is_ever_logged() {
    let workspace = Workspace::test("team").await;
    let account = Account::member(&workspace, &["read"]).await;
    let (mut browser, program) = (Browser::default(), Program::default());
    let page = browser.sign_in(program.begins(&[]), &account).await;
    let state = page.form().remove("sign_in").unwrap();
    let back = browser.submit(&page, &[("decision", "approve")]).await;
    let code = back.query("code").unwrap();
    let token = program.redeems(&code).await.json();
    program.redeems(&code).await;
    browser.open(page.url.clone()).await;
    let named = |lines: &[Value]| lines.iter().any(|line| line["error.code"] == "invalid_grant");
    let told = until_logged(named).await;
    assert!(named(&told), "a refusal is logged in OAuth's words");
    let text = Value::Array(told).to_string();
    for (what, secret) in [
        ("an address", account.email.as_str()),
        ("a password", account.password.as_str()),
        ("our state", state.as_str()),
        ("the program's state", program.state.as_str()),
        ("a verifier", program.verifier.as_str()),
        ("a code", code.as_str()),
        ("a key", token["access_token"].as_str().unwrap()),
    ] {
        assert!(!text.contains(secret), "{what} is logged");
    }
}
