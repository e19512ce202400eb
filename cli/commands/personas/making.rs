//! `personas create` and `personas refine`: runs that are shown as they go.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value, json};

use super::Visibility;
use crate::{
    Result,
    api::{Api, Call},
    commands::{input, listing},
    events::Following,
    failure::{Class, Failure},
    progress::Progress,
    screen::{DIM, STRONG, Screen, visible},
};

/// The longest brief, in characters as Unicode counts them.
const BRIEF_MOST: usize = 4000;

/// A persona to make.
#[derive(Args)]
pub(crate) struct Create {
    /// The brief, as words
    #[arg(value_name = "BRIEF", conflicts_with = "file")]
    brief: Option<String>,
    /// The brief, from a file, or - for standard input
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Who may see it [default: private]
    #[arg(long, value_enum)]
    visibility: Option<Visibility>,
    /// The language that it speaks [default: en]
    #[arg(long, value_name = "ISO-639-1")]
    language: Option<String>,
    /// Its address within the workspace
    #[arg(long)]
    slug: Option<String>,
    /// Values of custom fields, as JSON
    #[arg(long, value_name = "JSON")]
    custom_fields: Option<String>,
    /// A pair to keep with it; may be said again
    #[arg(long, value_name = "KEY=VALUE")]
    metadata: Vec<String>,
    #[command(flatten)]
    run: RunOptions,
}

/// How a run is made.
#[derive(Args)]
pub(crate) struct RunOptions {
    /// Another pipeline than the active one
    #[arg(long)]
    pipeline: Option<String>,
    /// Makes the same dice fall
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Most that the run may spend, in USD
    #[arg(long, value_name = "USD")]
    budget_usd: Option<f64>,
    /// Makes it once, however often this command is run with the same key
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Print the run's id at once, and let it go on
    #[arg(long)]
    no_wait: bool,
}

/// A persona to edit by instruction.
#[derive(Args)]
pub(crate) struct Refine {
    /// Its id or slug
    persona: String,
    /// What to change, such as "make her older, keep the humour"
    instruction: String,
    /// Change nothing but these layers
    #[arg(long, value_delimiter = ',')]
    layers: Vec<String>,
    #[command(flatten)]
    run: RunOptions,
}

impl RunOptions {
    fn add_to(&self, body: &mut Map<String, Value>) {
        let options = [
            ("pipeline", self.pipeline.as_ref().map(|pipeline| json!(pipeline))),
            ("seed", self.seed.map(|seed| json!(seed))),
            ("budget_usd", self.budget_usd.map(|budget| json!(budget))),
        ];
        body.extend(options.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    }
}

impl Create {
    /// Makes it, and tells its id.
    pub(crate) async fn run(self, api: &Api, screen: &Screen) -> Result<()> {
        let mut body = Map::new();
        body.insert("intent".to_owned(), json!(self.intent().await?));
        let texts = [("language", &self.language), ("slug", &self.slug)];
        for (name, value) in texts.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
            body.insert(name.to_owned(), json!(value));
        }
        if let Some(visibility) = self.visibility {
            body.insert("visibility".to_owned(), json!(visibility.name()));
        }
        if let Some(fields) = &self.custom_fields {
            body.insert("custom_fields".to_owned(), input::json(fields, "--custom-fields")?);
        }
        if !self.metadata.is_empty() {
            body.insert("metadata".to_owned(), pairs(&self.metadata)?);
        }
        let persona = made(api, screen, &["personas"], body, &self.run).await?;
        tell(screen, persona, "Created")
    }

    async fn intent(&self) -> Result<String> {
        let (text, from) = match (&self.brief, &self.file) {
            (Some(brief), _) => (brief.clone(), "The brief".to_owned()),
            (None, Some(file)) => (input::text(file).await?, named(file)),
            (None, None) => match input::piped().await? {
                Some(text) => (text, "standard input".to_owned()),
                None => {
                    return Err(Failure::usage("There is no brief.")
                        .hint("persona personas create -f ./brief.md, or give it in quotes"));
                }
            },
        };
        let length = text.trim().chars().count();
        match length {
            0 => Err(Failure::new(
                Class::InvalidRequest,
                format!("{from} is empty: a brief has 1 to {BRIEF_MOST} characters."),
            )),
            _ if length > BRIEF_MOST => Err(Failure::new(
                Class::InvalidRequest,
                format!("{from} has {length} characters; a brief has at most {BRIEF_MOST}."),
            )
            .hint(format!(
                "shorten it by {}; details can follow with: persona personas refine",
                length - BRIEF_MOST
            ))),
            _ => Ok(text),
        }
    }
}

impl Refine {
    /// Edits it, and tells its id.
    pub(crate) async fn run(self, api: &Api, screen: &Screen) -> Result<()> {
        let mut body = Map::new();
        body.insert("instruction".to_owned(), json!(self.instruction));
        if !self.layers.is_empty() {
            body.insert("layers".to_owned(), json!(self.layers));
        }
        let persona = made(api, screen, &["personas", &self.persona, "refine"], body, &self.run).await?;
        tell(screen, persona, "Refined")
    }
}

/// What a run has made, if it was waited for.
async fn made(
    api: &Api,
    screen: &Screen,
    path: &[&str],
    mut body: Map<String, Value>,
    options: &RunOptions,
) -> Result<Option<Value>> {
    api.tell_simulation(screen);
    options.add_to(&mut body);
    let call = api.post_once(path, options.idempotency_key.as_deref()).json(&body.into());
    if options.no_wait {
        let (_, answer) = call.header("Prefer", "respond-async").answer().await?;
        let told = listing::cell(answer.get("id"));
        screen.done(&answer, &told)?;
        if told.starts_with("run_") {
            screen.hint(format_args!("follow it: persona runs tail {told}"));
        }
        return Ok(None);
    }
    let persona = followed(api, screen, call.query("stream", Some(true))).await?;
    api.get(&["personas", &persona]).value().await.map(Some)
}

/// Shows a run to its end, and gives the id of the persona.
async fn followed<'a>(api: &'a Api, screen: &Screen, call: Call<'a>) -> Result<String> {
    let mut events = Following::begun_by(api, call).await?;
    let run = events.run().to_owned();
    screen.begun(&run);
    let mut progress = Progress::new(screen);
    while let Some(event) = events.next().await? {
        progress.show(&event);
        event.verdict(&run)?;
        if event.event == "run.completed" {
            screen.finished();
            return Ok(event.text("persona_id").to_owned());
        }
    }
    Err(Failure::internal(format!("{run} ended without a persona")))
}

/// A sentence for people; the id alone for programs.
fn tell(screen: &Screen, persona: Option<Value>, done: &str) -> Result<()> {
    let Some(persona) = persona else { return Ok(()) };
    let text = |pointer: &str| visible(&listing::cell(persona.pointer(pointer)));
    let (id, slug) = (text("/id"), text("/slug"));
    if !screen.is_terminal() && !screen.is_json() {
        return screen.line(id);
    }
    let (name, version) = (text("/identity/name"), text("/version"));
    let summary = text("/identity/summary");
    let told =
        format!("{done} {STRONG}{name}{STRONG:#}  {id}  {slug}  {DIM}version {version}{DIM:#}\n{summary}");
    if screen.is_json() {
        return screen.json_line(&persona);
    }
    screen.line(told)?;
    screen.hint(format_args!("talk to it: persona chat {slug}"));
    Ok(())
}

fn pairs(given: &[String]) -> Result<Value> {
    let pair = |text: &String| {
        let (key, value) = text.split_once('=').ok_or_else(|| {
            Failure::usage(format!("--metadata {text} is no pair.")).hint("write --metadata key=value")
        })?;
        Ok((key.to_owned(), json!(value)))
    };
    given.iter().map(pair).collect::<Result<Map<_, _>>>().map(Value::Object)
}

/// What a path is called in messages.
pub(super) fn named(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}
