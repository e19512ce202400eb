//! Personas as prompts: what makes a model be one of them.

use persona::{
    Error, Result, conversation::Character, error::Code, key::Scope, store::personas::PersonaEntry,
};
use rmcp::model::{
    GetPromptRequestParams, GetPromptResult, PaginatedRequestParams, Prompt, PromptMessage, Role,
};

use super::{server::Server, tools::Outline};
use crate::personas::access;

impl Server {
    /// A page of prompts, each named by its persona's slug; none for a key that may not read.
    pub(super) async fn prompts(
        &self,
        page: Option<&PaginatedRequestParams>,
    ) -> Result<(Vec<Prompt>, Option<String>)> {
        if !self.may(Scope::Read) {
            return Ok((Vec::new(), None));
        }
        let (entries, next) = self.personas("mcp prompts", page).await?;
        Ok((entries.iter().map(listed).collect::<Result<_>>()?, next))
    }

    /// The prompt of a persona, by slug or id.
    pub(super) async fn prompt(&self, request: &GetPromptRequestParams) -> Result<GetPromptResult> {
        self.caller.require(Scope::Read)?;
        if let Some(name) = request.arguments.as_ref().and_then(|given| given.keys().next()) {
            let shown: String = name.chars().take(60).collect();
            let message =
                format!("Prompts take no arguments, and \"{shown}\" is given. Leave arguments out.");
            return Err(Error::invalid(format!("arguments.{shown}"), message));
        }
        let found = access::find(&self.app, &self.caller, &request.name, None).await;
        let entry = found.map_err(|error| unknown(error, &request.name))?;
        let character = compiled(self, &entry)?;
        let message = PromptMessage::new_text(Role::User, character.prompt.clone());
        Ok(GetPromptResult::new(vec![message]).with_description(Outline::of(&entry)?.line()))
    }
}

fn compiled(server: &Server, entry: &PersonaEntry) -> Result<std::sync::Arc<Character>> {
    let tenant = server.caller.tenant();
    match Character::known(tenant, entry.id, entry.version) {
        Some(character) => Ok(character),
        None => Character::compile(tenant, entry.id, entry.version, &entry.document()?),
    }
}

fn listed(entry: &PersonaEntry) -> Result<Prompt> {
    let outline = Outline::of(entry)?;
    Ok(Prompt::new(entry.slug.clone(), Some(outline.line()), None).with_title(outline.name))
}

fn unknown(error: Error, name: &str) -> Error {
    if error.code != Code::NotFound {
        return error;
    }
    let shown: String = name.chars().take(80).collect();
    Error::new(
        Code::NotFound,
        format!("There is no prompt \"{shown}\". List prompts/list to see those that there are."),
    )
    .with_param("name")
}
