//! The labelled set of `tests/data/drift`, scored: for the report and for fitting. Its README says what the labels mean.
#![allow(clippy::panic, reason = "a report fails by panicking")]

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap},
    env, fs,
    path::{Path, PathBuf},
};

use persona::{
    drift::{Heard, Scored, Signals, Yardstick},
    persona::Layers,
};
use serde_json::{Value, json};

/// A labelled reply with its score.
#[derive(Debug, Clone)]
pub struct Case {
    /// Whose persona it is measured against.
    pub persona: String,
    /// Its language.
    pub language: String,
    /// Whether thresholds may be fitted on it.
    pub calibration: bool,
    /// The label; `impostor` for what another persona of the language said to the same question.
    pub label: String,
    /// What it answers.
    pub prompt: String,
    /// The reply.
    pub text: String,
    /// Whether an impostor is of the other half of the set.
    pub mixed: bool,
    /// Its signals, with vectors and without.
    pub signals: [Signals; 2],
    /// Its score, with vectors and without.
    pub scored: [Scored; 2],
}

struct Persona {
    slug: String,
    language: String,
    calibration: bool,
    layers: Layers,
    probes: Value,
    replies: Vec<Reply>,
}

#[derive(Clone)]
struct Reply {
    prompt: String,
    label: String,
    text: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/drift")
}

fn read(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn personas() -> Vec<Persona> {
    let mut slugs: Vec<PathBuf> = fs::read_dir(folder().join("personas"))
        .expect("the personas of the set")
        .map(|entry| entry.expect("a file").path())
        .collect();
    slugs.sort();
    slugs.iter().map(|path| persona(path)).collect()
}

fn persona(path: &Path) -> Persona {
    let mut sheet = read(path);
    let slug = text(&sheet["slug"]);
    let replies = read(&folder().join("replies").join(path.file_name().expect("a name")));
    let reply = |reply: &Value| Reply {
        prompt: text(&reply["prompt"]),
        label: text(&reply["label"]),
        text: text(&reply["text"]),
    };
    let (language, split, probes) =
        (text(&sheet["language"]), text(&sheet["split"]), sheet["probes"].clone());
    let fields = sheet.as_object_mut().expect("a sheet");
    for other in ["slug", "language", "split", "probes"] {
        fields.remove(other);
    }
    Persona {
        layers: Layers::from_value(&sheet).unwrap_or_else(|problems| panic!("{slug}: {problems:?}")),
        replies: replies.as_array().expect("replies").iter().map(reply).collect(),
        calibration: split == "calibration",
        slug,
        language,
        probes,
    }
}

/// Every reply of the set, and every impostor, scored with the vectors of the server at `PERSONA_EMBEDDINGS_URL`.
pub async fn scored() -> Vec<Case> {
    let personas = personas();
    let prompts = read(&folder().join("prompts.yaml"));
    let mut vectors = Vectors::default();
    for persona in &personas {
        let mut texts = Yardstick::texts(&persona.layers, &persona.language);
        texts.extend(
            persona.replies.iter().flat_map(|reply| [reply.text.clone(), message(persona, reply, &prompts)]),
        );
        vectors.learn(texts).await;
    }
    let mut cases = Vec::new();
    for persona in &personas {
        let texts = Yardstick::texts(&persona.layers, &persona.language);
        let known: Vec<Vec<f32>> = texts.iter().map(|text| vectors.of(text)).collect();
        let with = Yardstick::new(&persona.layers, &persona.language, &known);
        let without = Yardstick::new(&persona.layers, &persona.language, &[]);
        let own = persona.replies.iter().map(|reply| (persona, reply.clone()));
        let others =
            personas.iter().filter(|other| other.slug != persona.slug && other.language == persona.language);
        let others: Vec<&Persona> = others.collect();
        let halves = others.iter().any(|other| other.calibration == persona.calibration);
        let impostors = others.iter().filter(|other| !halves || other.calibration == persona.calibration);
        let impostors = impostors.flat_map(|other| {
            let spoken = other
                .replies
                .iter()
                .filter(|reply| reply.label == "in-voice" && !reply.prompt.starts_with("probe"));
            spoken.map(|reply| (*other, Reply { label: "impostor".to_owned(), ..reply.clone() }))
        });
        for (who, reply) in own.chain(impostors) {
            let vector = vectors.of(&reply.text);
            let message = message(who, &reply, &prompts);
            let message_vector = vectors.of(&message);
            let heard = Heard {
                reply: &reply.text,
                vector: Some(&vector),
                message: &message,
                message_vector: Some(&message_vector),
                before: None,
            };
            let bare = Heard { vector: None, message_vector: None, ..heard };
            cases.push(Case {
                persona: persona.slug.clone(),
                language: persona.language.clone(),
                calibration: persona.calibration,
                mixed: who.calibration != persona.calibration,
                signals: [with.signals(&reply.text, Some(&vector)), without.signals(&reply.text, None)],
                scored: [with.score(&heard), without.score(&bare)],
                label: reply.label,
                prompt: reply.prompt,
                text: reply.text,
            });
        }
    }
    cases
}

fn message(persona: &Persona, reply: &Reply, prompts: &Value) -> String {
    let language = persona.language.as_str();
    let shared = ["everyday", "injection"]
        .into_iter()
        .find_map(|kind| prompts[kind][&reply.prompt][language].as_str());
    shared.or_else(|| persona.probes[&reply.prompt]["text"].as_str()).unwrap_or_default().to_owned()
}

/// Vectors by text, kept between runs: the set does not change, and a small machine takes a minute for it.
#[derive(Default)]
struct Vectors {
    known: HashMap<String, Vec<f32>>,
    client: reqwest::Client,
}

impl Vectors {
    fn file() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/drift-vectors.json")
    }

    async fn learn(&mut self, texts: Vec<String>) {
        if self.known.is_empty() {
            let kept = fs::read_to_string(Self::file()).unwrap_or_default();
            self.known = serde_json::from_str(&kept).unwrap_or_default();
        }
        let mut new: Vec<String> = texts.into_iter().filter(|text| !self.known.contains_key(text)).collect();
        new.sort();
        new.dedup();
        if new.is_empty() {
            return;
        }
        let url = env::var("PERSONA_EMBEDDINGS_URL").expect("PERSONA_EMBEDDINGS_URL: use `infra/local exec`");
        for some in new.chunks(16) {
            let body = json!({"model": "multilingual-e5-small", "input": some});
            let asked = self.client.post(format!("{url}/embeddings")).json(&body).send().await;
            let answer: Value = asked.expect("the embeddings").json().await.expect("JSON");
            for (text, row) in some.iter().zip(answer["data"].as_array().expect("vectors")) {
                let numbers = row["embedding"].as_array().expect("numbers");
                let vector = numbers.iter().map(|number| number.as_f64().unwrap_or(0.0) as f32).collect();
                self.known.insert(text.clone(), vector);
            }
        }
        let kept: BTreeMap<&String, &Vec<f32>> = self.known.iter().collect();
        fs::write(Self::file(), json!(kept).to_string()).expect("a file under target/");
    }

    fn of(&self, text: &str) -> Vec<f32> {
        self.known.get(text).cloned().unwrap_or_else(|| panic!("no vector of {text:?}"))
    }
}

/// The area under the ROC curve: how often a positive is above a negative, ties counting half.
pub fn auc(positive: &[f64], negative: &[f64]) -> f64 {
    let mut won = 0.0;
    for p in positive {
        for n in negative {
            won += match p.total_cmp(n) {
                Ordering::Greater => 1.0,
                Ordering::Equal => 0.5,
                Ordering::Less => 0.0,
            };
        }
    }
    won / (positive.len() * negative.len()).max(1) as f64
}

/// Fitting: the numbers of shared/drift/fitted.rs, of the calibration half alone.
pub mod fit {
    use std::fmt::Write;

    use super::Case;

    /// How strongly weights are pulled to nothing, for each standard deviation of their signal.
    const RIDGE: f64 = 0.1;
    const STEPS: usize = 20_000;
    const RATE: f64 = 0.05;

    /// Rust constants. Those of style go into the signals: fit, build, and fit again.
    pub fn fitted(cases: &[&Case]) -> String {
        assert!(
            cases.iter().all(|case| case.calibration && !case.mixed),
            "the test half is for reports alone"
        );
        let mut told = String::new();
        let voices: Vec<&Case> = of(cases, &["in-voice"]);
        let everyone: Vec<&Case> = of(cases, &["in-voice", "assistant"]);
        let style = |case: &&Case, at: usize| case.signals[0].style[0][at];
        let measures = voices[0].signals[0].style[0].len();
        let (mut mean, mut spread, mut own) = (Vec::new(), Vec::new(), Vec::new());
        for at in 0..measures {
            let (middle, deviation) =
                moments(&everyone.iter().map(|case| style(case, at)).collect::<Vec<_>>());
            mean.push(middle);
            spread.push(deviation + 0.05);
            let off = voices.iter().map(|case| (style(case, at) - case.signals[0].style[1][at]).powi(2));
            own.push((off.sum::<f64>() / voices.len() as f64).sqrt() + 0.05);
        }
        constant(&mut told, "STYLE_MEAN", &mean);
        constant(&mut told, "STYLE_SPREAD", &spread);
        constant(&mut told, "STYLE_OWN", &own);
        for (at, name) in ["VOICE", "VOICE_WITHOUT_VECTORS"].into_iter().enumerate() {
            let signals = |case: &&Case| case.signals[at].voice.clone();
            let groups = [&["in-voice"], &["assistant"], &["impostor"]].map(|labels| of(cases, labels));
            let groups = groups.map(|group| group.iter().map(signals).collect::<Vec<_>>());
            constant(&mut told, name, &weights(&groups));
        }
        let role = |case: &&Case| case.signals[0].role;
        let touched = |case: &&Case| case.signals[0].touched;
        let broken = of(cases, &["role-break", "obeyed-injection"]);
        let against = of(cases, &["value-contradiction"]);
        let [slope, _] = logistic(broken.iter().map(role).collect(), voices.iter().map(role).collect());
        // Half a doubt where one reply in fifty that keeps its role lies: a false alarm costs more than a miss.
        let mut kept: Vec<f64> = voices.iter().map(role).collect();
        kept.sort_by(f64::total_cmp);
        constant(&mut told, "ROLE", &[slope, kept[kept.len() * 49 / 50]]);
        let touched = logistic(against.iter().map(touched).collect(), voices.iter().map(touched).collect());
        constant(&mut told, "TOUCHED", &touched);
        let mut levels: Vec<f64> =
            of(cases, &["assistant"]).iter().map(|case| case.signals[0].voice_level).collect();
        levels.sort_by(f64::total_cmp);
        let _ = writeln!(told, "pub(super) const ANYONE: f64 = {:.2};", levels[levels.len() / 4]);
        told
    }

    /// Slope and centre of a logistic curve between two groups that weigh the same.
    fn logistic(above: Vec<f64>, below: Vec<f64>) -> [f64; 2] {
        let (middle, deviation) = moments(&[above.clone(), below.clone()].concat());
        let scaled = |value: &f64| (value - middle) / deviation;
        let (mut weight, mut bias) = (0.0, 0.0);
        for _ in 0..STEPS {
            let (mut slope, mut lift) = (0.0, 0.0);
            for (group, wanted) in [(&above, 1.0), (&below, 0.0)] {
                for value in group {
                    let off = 0.5 / group.len() as f64
                        * (1.0 / (1.0 + (-(bias + weight * scaled(value))).exp()) - wanted);
                    lift += off;
                    slope += off * scaled(value);
                }
            }
            bias -= RATE * lift;
            weight -= RATE * slope;
        }
        [weight / deviation, middle - bias * deviation / weight]
    }

    fn of<'a>(cases: &[&'a Case], labels: &[&str]) -> Vec<&'a Case> {
        cases.iter().copied().filter(|case| labels.contains(&case.label.as_str())).collect()
    }

    fn moments(values: &[f64]) -> (f64, f64) {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64;
        (mean, variance.sqrt())
    }

    /// Logistic regression of "in voice", no weight below 0; the groups weigh a half, a quarter, a quarter.
    fn weights(groups: &[Vec<Vec<f64>>; 3]) -> Vec<f64> {
        let size = groups[0][0].len();
        let all: Vec<&Vec<f64>> = groups.iter().flatten().collect();
        let moments: Vec<(f64, f64)> =
            (0..size).map(|at| moments(&all.iter().map(|one| one[at]).collect::<Vec<_>>())).collect();
        let scaled = |one: &Vec<f64>, at: usize| (one[at] - moments[at].0) / moments[at].1.max(1e-9);
        let (mut weights, mut bias) = (vec![0.0; size], 0.0);
        for _ in 0..STEPS {
            let (mut slopes, mut slope) = (vec![0.0; size], 0.0);
            for (group, share) in groups.iter().zip([0.5, 0.25, 0.25]) {
                let wanted = if share > 0.3 { 1.0 } else { 0.0 };
                for one in group {
                    let sum = bias + (0..size).map(|at| weights[at] * scaled(one, at)).sum::<f64>();
                    let off = share / group.len() as f64 * (1.0 / (1.0 + (-sum).exp()) - wanted);
                    slope += off;
                    slopes.iter_mut().enumerate().for_each(|(at, slope)| *slope += off * scaled(one, at));
                }
            }
            bias -= RATE * slope;
            for (at, weight) in weights.iter_mut().enumerate() {
                *weight = (*weight - RATE * (slopes[at] + RIDGE * *weight)).max(0.0);
            }
        }
        (0..size).map(|at| if moments[at].1 > 1e-9 { weights[at] / moments[at].1 } else { 0.0 }).collect()
    }

    fn constant(told: &mut String, name: &str, values: &[f64]) {
        let values: Vec<String> = values.iter().map(|value| format!("{value:.3}")).collect();
        let _ = writeln!(told, "pub(super) const {name}: [f64; {}] = [{}];", values.len(), values.join(", "));
    }
}
