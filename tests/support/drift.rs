//! The labelled set of `tests/data/drift`, scored: for the report and for fitting. Its README says what the labels mean.

use std::{
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
    let shared = ["everyday", "injections"]
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
            won += if p > n {
                1.0
            } else if p == n {
                0.5
            } else {
                0.0
            };
        }
    }
    won / (positive.len() * negative.len()).max(1) as f64
}

/// Fitting: the numbers of shared/drift/fitted.rs.
pub mod fit {
    pub fn fitted(_: &[&super::Case]) -> String {
        String::new()
    }
}
