//! `persona pipelines`: how personas are made, as data.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{
    input,
    listing::{self, Column, Extent},
};
use crate::{Result, arguments::Session};

const COLUMNS: &[Column] =
    &[("name", "/name"), ("version", "/version"), ("built in", "/built_in"), ("description", "/description")];

/// The pipelines that the workspace can use.
#[derive(Subcommand)]
pub(crate) enum Pipelines {
    /// Show them
    List(Extent),
    /// Read one as YAML
    Get {
        /// Its name
        name: String,
    },
    /// Define one, or replace it, from a YAML or JSON file
    Put(Put),
    /// Remove one of the workspace's own
    Delete {
        /// Its name
        name: String,
    },
}

/// A definition.
#[derive(Args)]
pub(crate) struct Put {
    /// Its name
    name: String,
    /// The file, or - for standard input
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Only if the pipeline still has this tag
    #[arg(long, value_name = "ETAG")]
    if_match: Option<String>,
}

impl Pipelines {
    /// Does it.
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<()> {
        let (api, screen) = (session.api()?, session.screen);
        match self {
            Self::List(extent) => {
                listing::print(screen, &api, &extent, COLUMNS, |api| api.get(&["pipelines"])).await
            }
            Self::Get { name } => screen.object(&api.get(&["pipelines", &name]).value().await?),
            Self::Put(put) => {
                let text = input::text(&put.file).await?;
                input::yaml::<Value>(&text, &put.file.display().to_string())?;
                let call =
                    api.put(&["pipelines", &put.name]).maybe_header("If-Match", put.if_match.as_deref());
                let pipeline = call.body("application/yaml", text).value().await?;
                let version = listing::cell(pipeline.get("version"));
                screen.done(&pipeline, format!("{} is at version {version}.", put.name))
            }
            Self::Delete { name } => {
                let gone = api.delete(&["pipelines", &name]).value().await?;
                screen.done(&gone, format!("Removed {name}."))
            }
        }
    }
}
