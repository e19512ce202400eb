//! `persona schema fields`: fields that a workspace adds to its personas.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::{
    input,
    listing::{self, Column, Extent},
};
use crate::{Result, arguments::Session};

const COLUMNS: &[Column] = &[
    ("name", "/name"),
    ("type", "/type"),
    ("required", "/required"),
    ("generated", "/generate"),
    ("personas", "/uses"),
];

/// The schema of the workspace's personas.
#[derive(Subcommand)]
pub(crate) enum Schema {
    /// Custom fields
    #[command(subcommand)]
    Fields(Fields),
}

/// Custom fields.
#[derive(Subcommand)]
pub(crate) enum Fields {
    /// Show them
    List(Extent),
    /// Define one
    Create(Create),
    /// Remove one that no persona uses
    Delete {
        /// Its name
        name: String,
    },
}

/// Types of values.
#[derive(Clone, Copy, ValueEnum)]
enum Type {
    String,
    Number,
    Integer,
    Boolean,
    Enum,
    Array,
    Object,
}

/// A new field.
#[derive(Args)]
pub(crate) struct Create {
    /// Its name
    name: String,
    /// The type of its values
    #[arg(long, value_enum)]
    r#type: Type,
    /// A JSON Schema that values must match
    #[arg(long, value_name = "JSON")]
    schema: Option<String>,
    /// Every new persona must have it
    #[arg(long)]
    required: bool,
    /// The pipeline fills it from the character
    #[arg(long)]
    generate: bool,
}

impl Schema {
    /// Does it.
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<()> {
        let Self::Fields(fields) = self;
        let (api, screen) = (session.api()?, session.screen);
        match fields {
            Fields::List(extent) => {
                listing::print(screen, &api, &extent, COLUMNS, |api| api.get(&["schema", "fields"])).await
            }
            Fields::Create(new) => {
                let kind = new.r#type.to_possible_value();
                let kind = kind.as_ref().map_or("", |kind| kind.get_name());
                let mut body = json!({"name": new.name, "type": kind});
                if let Some(schema) = &new.schema {
                    body["schema"] = input::json(schema, "--schema")?;
                }
                for (name, is_set) in [("required", new.required), ("generate", new.generate)] {
                    if is_set {
                        body[name] = json!(true);
                    }
                }
                let field = api.post(&["schema", "fields"]).json(&body).value().await?;
                screen.done(&field, format!("Defined {}.", new.name))
            }
            Fields::Delete { name } => {
                let gone = api.delete(&["schema", "fields", &name]).value().await?;
                screen.done(&gone, format!("Removed {name}."))
            }
        }
    }
}
