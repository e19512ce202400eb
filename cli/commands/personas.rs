//! `persona personas`: made, read, edited as files, shared.

mod editing;
mod making;
mod sharing;

use clap::{Args, Subcommand, ValueEnum};

use super::listing::{self, Column, Extent};
use crate::{Result, arguments::Session};

const COLUMNS: &[Column] = &[
    ("id", "/id"),
    ("slug", "/slug"),
    ("name", "/identity/name"),
    ("version", "/version"),
    ("visibility", "/visibility"),
    ("language", "/language"),
    ("updated", "/updated_at"),
];
const VERSIONS: &[Column] = &[
    ("version", "/version"),
    ("changed", "/changed"),
    ("by", "/created_by"),
    ("run", "/run_id"),
    ("made", "/created_at"),
];

/// Personas of the workspace.
#[derive(Subcommand)]
pub(crate) enum Personas {
    /// Show them, newest first
    List(List),
    /// Read one
    Get(Get),
    /// Make one from a brief
    Create(making::Create),
    /// Edit one by instruction
    Refine(making::Refine),
    /// Edit one in $EDITOR
    Edit(editing::Edit),
    /// Write one to a YAML file
    Pull(editing::Pull),
    /// Send an edited file back
    Push(editing::Push),
    /// Compare a file with the service, or two versions
    Diff(editing::Diff),
    /// Show the versions of one
    Versions {
        /// Its id or slug
        persona: String,
        #[command(flatten)]
        extent: Extent,
    },
    /// Delete one; its conversations stay readable
    Delete(sharing::Delete),
    /// Put one on the marketplace
    Publish(sharing::Publish),
    /// Take one off the marketplace
    Unpublish {
        /// Its id or slug
        persona: String,
    },
    /// Write one as a character card, or as YAML
    Export(sharing::Export),
    /// Make one from a character card (JSON or PNG), or from YAML
    Import(sharing::Import),
}

/// Who may see a persona.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Visibility {
    /// Its creator
    Private,
    /// The workspace
    Workspace,
    /// Everybody, once it is published
    Public,
}

impl Visibility {
    /// As the API names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Workspace => "workspace",
            Self::Public => "public",
        }
    }
}

/// Which personas.
#[derive(Args)]
pub(crate) struct List {
    /// Only those of this visibility
    #[arg(long, value_enum)]
    visibility: Option<Visibility>,
    /// Only those that speak this language
    #[arg(long, value_name = "ISO-639-1")]
    language: Option<String>,
    /// Only those with these words in name or summary
    #[arg(short, long)]
    query: Option<String>,
    #[command(flatten)]
    extent: Extent,
}

/// Which persona.
#[derive(Args)]
pub(crate) struct Get {
    /// Its id or slug
    persona: String,
    /// An older version
    #[arg(long, value_name = "NUMBER")]
    version: Option<u64>,
}

impl Personas {
    /// Does it.
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<()> {
        let (api, screen) = (session.api()?, session.screen);
        match self {
            Self::List(List { visibility, language, query, extent }) => {
                listing::print(screen, &api, &extent, COLUMNS, |api| {
                    api.get(&["personas"])
                        .query("visibility", visibility.map(Visibility::name))
                        .query("language", language.as_ref())
                        .query("q", query.as_ref())
                })
                .await
            }
            Self::Get(Get { persona, version }) => {
                screen.object(&api.get(&["personas", &persona]).query("version", version).value().await?)
            }
            Self::Create(create) => create.run(&api, screen).await,
            Self::Refine(refine) => refine.run(&api, screen).await,
            Self::Edit(edit) => edit.run(&api, screen).await,
            Self::Pull(pull) => pull.run(&api, screen).await,
            Self::Push(push) => push.run(&api, screen).await,
            Self::Diff(diff) => diff.run(&api, screen).await,
            Self::Versions { persona, extent } => {
                let path = ["personas", &persona, "versions"];
                listing::print(screen, &api, &extent, VERSIONS, |api| api.get(&path)).await
            }
            Self::Delete(delete) => delete.run(&api, screen).await,
            Self::Publish(publish) => publish.run(&api, screen).await,
            Self::Unpublish { persona } => {
                let persona = api.post(&["personas", &persona, "unpublish"]).value().await?;
                screen
                    .done(&persona, format!("{} is off the marketplace.", listing::cell(persona.get("slug"))))
            }
            Self::Export(export) => export.run(&api, screen).await,
            Self::Import(import) => import.run(&api, screen).await,
        }
    }
}
