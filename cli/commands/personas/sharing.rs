//! `personas delete`, `publish`, `export`, `import`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::{Map, json};

use super::{Visibility, editing};
use crate::{
    Result,
    api::Api,
    commands::{input, listing},
    screen::Screen,
};

/// A persona to delete.
#[derive(Args)]
pub(crate) struct Delete {
    /// Its id or slug
    persona: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Delete {
    /// Deletes it.
    pub(crate) async fn run(self, api: &Api, screen: &Screen) -> Result<()> {
        screen.confirmed(self.yes, &format!("Delete {} with all its versions?", self.persona))?;
        let gone = api.delete(&["personas", &self.persona]).value().await?;
        editing::forget(&listing::cell(gone.get("id")));
        screen.done(&gone, format!("Deleted {}.", listing::cell(gone.get("id"))))
    }
}

/// A persona to publish.
#[derive(Args)]
pub(crate) struct Publish {
    /// Its id or slug
    persona: String,
    /// What the listing is called [default: the persona's name]
    #[arg(long)]
    title: Option<String>,
    /// What the listing says of it [default: the persona's summary]
    #[arg(long)]
    summary: Option<String>,
    /// Words to find it by
    #[arg(long, value_delimiter = ',')]
    tags: Vec<String>,
}

impl Publish {
    /// Publishes it as it is now.
    pub(crate) async fn run(self, api: &Api, screen: &Screen) -> Result<()> {
        let mut body = Map::new();
        for (name, value) in [("title", &self.title), ("summary", &self.summary)] {
            if let Some(value) = value {
                body.insert(name.to_owned(), json!(value));
            }
        }
        if !self.tags.is_empty() {
            body.insert("tags".to_owned(), json!(self.tags));
        }
        let listing = api.post(&["personas", &self.persona, "publish"]).json(&body.into()).value().await?;
        screen.done(&listing, listing::cell(listing.get("id")))
    }
}

/// Forms of an export.
#[derive(Clone, Copy, ValueEnum)]
enum Format {
    #[value(name = "card_v2")]
    CardV2,
    #[value(name = "card_v3")]
    CardV3,
    Yaml,
}

/// A persona to export.
#[derive(Args)]
pub(crate) struct Export {
    /// Its id or slug
    persona: String,
    /// The form
    #[arg(long, value_enum, default_value = "card_v3")]
    format: Format,
    /// An older version
    #[arg(long, value_name = "NUMBER")]
    version: Option<u64>,
    /// The file [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Export {
    /// Writes it.
    pub(crate) async fn run(self, api: &Api, screen: &Screen) -> Result<()> {
        let (format, accept) = match self.format {
            Format::CardV2 => ("card_v2", "application/json"),
            Format::CardV3 => ("card_v3", "application/json"),
            Format::Yaml => ("yaml", "application/yaml"),
        };
        let call = api.get(&["personas", &self.persona, "export"]).header("Accept", accept);
        let (text, _) = call.query("format", Some(format)).query("version", self.version).text().await?;
        input::write(screen, self.output.as_ref(), text.as_bytes())
    }
}

/// A card to import.
#[derive(Args)]
pub(crate) struct Import {
    /// The file: JSON, PNG or YAML; - is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The language that the card is in, where it is not to be told from its text
    #[arg(long, value_name = "ISO-639-1")]
    language: Option<String>,
    /// Who may see the persona [default: private]
    #[arg(long, value_enum)]
    visibility: Option<Visibility>,
    /// Its address within the workspace
    #[arg(long)]
    slug: Option<String>,
}

impl Import {
    /// Makes the persona.
    pub(crate) async fn run(self, api: &Api, screen: &Screen) -> Result<()> {
        let bytes = input::bytes(&self.file).await?;
        let media = media(&self.file, &bytes);
        let call = api
            .post(&["personas", "import"])
            .query("language", self.language)
            .query("visibility", self.visibility.map(Visibility::name))
            .query("slug", self.slug)
            .body(media, bytes);
        let persona = call.value().await?;
        let text = |key: &str| listing::cell(persona.get(key));
        screen.done(&persona, format!("{}\t{}", text("id"), text("slug")))
    }
}

/// What a file is, by its first bytes: names may say anything.
fn media(path: &Path, bytes: &[u8]) -> &'static str {
    let begins_json = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    let is_yaml = path.extension().is_some_and(|end| end == "yml" || end == "yaml");
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        _ if begins_json && !is_yaml => "application/json",
        _ => "application/yaml",
    }
}
