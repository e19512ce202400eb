//! `persona marketplace`: what others have published.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::{
    listing::{self, Column, Extent},
    personas::Visibility,
};
use crate::{Result, arguments::Session};

const COLUMNS: &[Column] = &[
    ("id", "/id"),
    ("title", "/title"),
    ("language", "/language"),
    ("installs", "/installs"),
    ("summary", "/summary"),
];

/// Published personas.
#[derive(Subcommand)]
pub(crate) enum Marketplace {
    /// Find some
    Search(Search),
    /// Read a listing
    Get {
        /// Its id
        listing: String,
    },
    /// Copy a listing into the workspace
    Install(Install),
    /// Take a listing of the workspace's off
    Delete {
        /// Its id
        listing: String,
    },
}

/// What to look for.
#[derive(Args)]
pub(crate) struct Search {
    /// Words that title, tags or summary have
    words: Vec<String>,
    /// Only those that speak this language
    #[arg(long, value_name = "ISO-639-1")]
    language: Option<String>,
    /// Only those with this tag
    #[arg(long)]
    tag: Option<String>,
    /// The order
    #[arg(long, value_enum)]
    sort: Option<Sort>,
    #[command(flatten)]
    extent: Extent,
}

/// Orders of listings.
#[derive(Clone, Copy, ValueEnum)]
enum Sort {
    Relevance,
    Popularity,
    Newest,
}

/// A listing to copy.
#[derive(Args)]
pub(crate) struct Install {
    /// Its id
    listing: String,
    /// Address of the copy within the workspace
    #[arg(long)]
    slug: Option<String>,
    /// Who may see the copy
    #[arg(long, value_enum)]
    visibility: Option<Visibility>,
}

impl Marketplace {
    /// Does it.
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<()> {
        let (api, screen) = (session.api()?, session.screen);
        match self {
            Self::Search(search) => {
                let words = Some(search.words.join(" ")).filter(|words| !words.is_empty());
                let sort = search
                    .sort
                    .and_then(|sort| sort.to_possible_value())
                    .map(|sort| sort.get_name().to_owned());
                listing::print(screen, &api, &search.extent, COLUMNS, |api| {
                    api.get(&["marketplace", "personas"])
                        .query("q", words.as_ref())
                        .query("language", search.language.as_ref())
                        .query("tag", search.tag.as_ref())
                        .query("sort", sort.as_ref())
                })
                .await
            }
            Self::Get { listing } => {
                screen.object(&api.get(&["marketplace", "personas", &listing]).value().await?)
            }
            Self::Install(install) => {
                let mut body = json!({});
                if let Some(slug) = &install.slug {
                    body["slug"] = json!(slug);
                }
                if let Some(visibility) = install.visibility {
                    body["visibility"] = json!(visibility.name());
                }
                let path = ["marketplace", "personas", &install.listing, "install"];
                let persona = api.post(&path).json(&body).value().await?;
                let text = |key: &str| listing::cell(persona.get(key));
                screen.done(&persona, format!("{}\t{}", text("id"), text("slug")))
            }
            Self::Delete { listing } => {
                let gone = api.delete(&["marketplace", "personas", &listing]).value().await?;
                screen.done(&gone, format!("Removed {listing} from the marketplace."))
            }
        }
    }
}
