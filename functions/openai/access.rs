//! Whom `model` means: a persona's id or slug, and a version where one is named.

use persona::{Error, Result, app::App, error::Code, key::Caller, store::personas::PersonaEntry};

use crate::personas;

/// A `model`, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Named<'a> {
    /// Id or slug.
    pub name: &'a str,
    /// The version, where one is named.
    pub version: Option<u64>,
}

/// Takes a `model` apart; what is after `@` and no version names nobody.
pub(crate) fn named(model: &str) -> Result<Named<'_>> {
    let Some((name, version)) = model.rsplit_once('@') else {
        return Ok(Named { name: model, version: None });
    };
    match version.parse() {
        Ok(version) if version > 0 => Ok(Named { name, version: Some(version) }),
        _ => Err(unknown(model)),
    }
}

/// The persona that a `model` means to this caller.
pub(crate) async fn find(app: &App, caller: &Caller, model: &str) -> Result<PersonaEntry> {
    let Named { name, version } = named(model)?;
    let current =
        personas::access::find(app, caller, name, None).await.map_err(|error| told(error, model))?;
    match version.filter(|version| *version != current.version) {
        None => Ok(current),
        Some(version) => {
            let older = app.store().await.persona(caller.tenant(), current.id, Some(version)).await?;
            older.ok_or_else(|| unknown(model))
        }
    }
}

/// 404 of a model: the same whether it is unknown, deleted, or not for this key's eyes.
pub(crate) fn unknown(model: &str) -> Error {
    let shown: String = model.chars().take(80).collect();
    let message = format!(
        "The model \"{shown}\" does not exist, or the key may not use it. GET /v1/openai/models lists those it may."
    );
    Error::new(Code::NotFound, message).with_param("model")
}

fn told(error: Error, model: &str) -> Error {
    if error.code == Code::NotFound { unknown(model) } else { error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_a_persona_and_perhaps_a_version() {
        assert_eq!(named("ada").ok(), Some(Named { name: "ada", version: None }));
        assert_eq!(named("ada@2").ok(), Some(Named { name: "ada", version: Some(2) }));
        for model in ["ada@", "ada@0", "ada@latest", "ada@-1"] {
            let code = named(model).err().map(|error| error.openai()["error"]["code"].clone());
            assert_eq!(code, Some("model_not_found".into()), "{model}");
        }
    }
}
