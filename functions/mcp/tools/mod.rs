//! Tools: what a model may do with personas. Each is described in definitions.json, and does what a route of its own does.

mod chat;
mod create;
mod once;
mod progress;
mod read;

use std::sync::LazyLock;

use persona::{
    Error, Result,
    error::Code,
    key::Scope,
    persona::schema::validate_with,
    store::personas::{PersonaEntry, Visibility},
};
use rmcp::{
    RoleServer,
    model::{CallToolRequestParams, CallToolResult, JsonObject, PaginatedRequestParams},
    service::RequestContext,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use self::progress::Progress;
use super::{failure, resources, server::Server};

/// How the names of tools that talk begin; the persona's slug follows, or its id where the slug is too long for a name.
const CHAT: &str = "chat_with_";
/// The longest name that hosts take.
const NAME_MOST: usize = 64;

/// The tools, as a client is told of them.
static DEFINITIONS: LazyLock<Vec<rmcp::model::Tool>> = LazyLock::new(definitions);

#[expect(clippy::expect_used, reason = "files of this crate; a test reads each of them")]
fn definitions() -> Vec<rmcp::model::Tool> {
    let mut tools: Vec<rmcp::model::Tool> =
        serde_json::from_str(include_str!("definitions.json")).expect("definitions.json holds tools");
    // One source for what a creation may be told: the body of POST /v1/personas.
    let body = include_str!("../../personas/create/request.json");
    let mut body: JsonObject = serde_json::from_str(body).expect("request.json is an object");
    body.retain(|key, _| !["$schema", "$id", "title", "description"].contains(&key.as_str()));
    for tool in tools.iter_mut().filter(|tool| tool.name == Tool::CreatePersona.name()) {
        tool.input_schema = body.clone().into();
    }
    tools
}

/// A tool by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Tool {
    ListPersonas,
    GetPersona,
    CreatePersona,
    SearchMarketplace,
    /// Talks with the persona of this slug or id.
    ChatWith(String),
}

impl Tool {
    /// Those that every workspace has.
    const COMMON: [Self; 4] =
        [Self::ListPersonas, Self::GetPersona, Self::CreatePersona, Self::SearchMarketplace];

    fn named(name: &str) -> Option<Self> {
        if let Some(persona) = name.strip_prefix(CHAT).filter(|persona| !persona.is_empty()) {
            return Some(Self::ChatWith(persona.to_owned()));
        }
        Self::COMMON.into_iter().find(|tool| tool.name() == name)
    }

    /// Its name; of those that talk, what they have in common.
    const fn name(&self) -> &'static str {
        match self {
            Self::ListPersonas => "list_personas",
            Self::GetPersona => "get_persona",
            Self::CreatePersona => "create_persona",
            Self::SearchMarketplace => "search_marketplace",
            Self::ChatWith(_) => CHAT,
        }
    }

    /// What a key needs to see and to call it.
    const fn scope(&self) -> Scope {
        match self {
            Self::ListPersonas | Self::GetPersona | Self::SearchMarketplace => Scope::Read,
            Self::CreatePersona => Scope::Write,
            Self::ChatWith(_) => Scope::Chat,
        }
    }

    fn definition(&self) -> Result<&'static rmcp::model::Tool> {
        let found = DEFINITIONS.iter().find(|tool| tool.name == self.name());
        found.ok_or_else(|| Error::internal("a tool without a definition"))
    }
}

/// A persona in a few words.
#[derive(Debug, Serialize)]
pub(super) struct Outline {
    id: String,
    slug: String,
    pub(super) name: String,
    summary: String,
    language: String,
    visibility: Visibility,
    version: u64,
    pub(super) updated_at: String,
    tool: String,
    resource: String,
}

impl Outline {
    pub(super) fn of(entry: &PersonaEntry) -> Result<Self> {
        let document = entry.document()?;
        let text =
            |pointer: &str| document.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(Self {
            id: entry.id.to_string(),
            slug: entry.slug.clone(),
            name: text("/identity/name"),
            summary: text("/identity/summary"),
            language: entry.language.clone(),
            visibility: entry.visibility,
            version: entry.version,
            updated_at: text("/updated_at"),
            tool: chat_name(entry),
            resource: resources::uri(entry),
        })
    }

    /// One line for lists.
    pub(super) fn line(&self) -> String {
        format!("{}: {}", self.name, self.summary)
    }
}

/// The name of the tool that talks with a persona. A slug has the characters that a name may have, and often fits; an id
/// always does.
fn chat_name(entry: &PersonaEntry) -> String {
    let name = format!("{CHAT}{}", entry.slug);
    if name.len() <= NAME_MOST { name } else { format!("{CHAT}{}", entry.id) }
}

fn chat_tool(entry: &PersonaEntry) -> Result<rmcp::model::Tool> {
    let outline = Outline::of(entry)?;
    let mut tool = Tool::ChatWith(String::new()).definition()?.clone();
    let title = format!("Chat with {}", outline.name);
    let description = format!(
        "Say something to {}, and hear the answer, in character. {} Speaks the language \"{}\".",
        outline.name, outline.summary, outline.language
    );
    tool.annotations = tool.annotations.map(|mut annotations| {
        annotations.title = Some(title.clone());
        annotations
    });
    tool.name = outline.tool.into();
    tool.title = Some(title);
    tool.description = Some(description.into());
    Ok(tool)
}

/// One call on its way to its result.
struct Calling {
    server: Server,
    /// Whom it tells how far it is.
    progress: Progress,
    /// As they came; their schema is checked before anything is done.
    arguments: JsonObject,
    /// The JSON-RPC request's id as text.
    id: String,
}

impl Calling {
    /// The arguments as the type that their schema describes.
    fn read<T: DeserializeOwned>(&self) -> Result<T> {
        T::deserialize(Value::Object(self.arguments.clone())).map_err(|error| {
            Error::new(Code::RequestInvalid, format!("The arguments are not of their shape: {error}."))
        })
    }
}

impl Server {
    /// A page of tools: on the first those that every workspace has, then one for each persona, newest first; as far as
    /// the key's scopes go.
    pub(super) async fn tools(
        &self,
        page: Option<&PaginatedRequestParams>,
    ) -> Result<(Vec<rmcp::model::Tool>, Option<String>)> {
        let mut tools = Vec::new();
        if page.is_none_or(|page| page.cursor.is_none()) {
            for tool in Tool::COMMON.iter().filter(|tool| self.may(tool.scope())) {
                tools.push(tool.definition()?.clone());
            }
        }
        if !self.may(Scope::Chat) {
            return Ok((tools, None));
        }
        let (entries, next) = self.personas("mcp tools", page).await?;
        for entry in &entries {
            tools.push(chat_tool(entry)?);
        }
        Ok((tools, next))
    }

    /// Calls a tool. What its caller can do something about is a result; an unknown tool, a key without its scope and a
    /// fault of ours are errors of the protocol.
    pub(super) async fn call(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResult> {
        let tool = Tool::named(&request.name).ok_or_else(|| unknown(&request.name))?;
        self.caller.require(tool.scope())?;
        let kind = tool.name();
        let calling = Calling {
            server: self.clone(),
            progress: Progress::of(&context),
            arguments: request.arguments.unwrap_or_default(),
            id: context.id.to_string(),
        };
        // A task of its own: what was begun is ended and kept, whether the caller stays or not.
        let called = tokio::spawn(calling.call(tool)).await.map_err(Error::internal)?;
        match called {
            Err(error) if error.code == Code::Internal || is_unknown_tool(&error) => Err(error),
            Err(error) => {
                tracing::info!(mcp.tool = kind, error.code = %error.code, run_id = error.run_id, "a tool was called in vain");
                Ok(failure::of_tool(&error, &self.request_id))
            }
            Ok(result) => Ok(result),
        }
    }
}

impl Calling {
    async fn call(self, tool: Tool) -> Result<CallToolResult> {
        let schema = Value::Object(tool.definition()?.input_schema.as_ref().clone());
        let problems = validate_with(&schema, "", &Value::Object(self.arguments.clone()));
        Error::invalid_all(problems)?;
        match tool {
            Tool::ListPersonas => self.list_personas().await,
            Tool::GetPersona => self.get_persona().await,
            Tool::SearchMarketplace => self.search_marketplace().await,
            Tool::CreatePersona => self.create_persona().await,
            Tool::ChatWith(persona) => self.chat_with(persona).await,
        }
    }
}

/// The parameter that names a tool; no argument of a tool's own is called so.
const NAME: &str = "params.name";

fn unknown(name: &str) -> Error {
    let shown: String = name.chars().take(80).collect();
    let message = format!(
        "There is no tool \"{shown}\", or the key may not use it. List tools/list to see those that there are."
    );
    Error::new(Code::NotFound, message).with_param(NAME)
}

fn is_unknown_tool(error: &Error) -> bool {
    error.code == Code::NotFound && error.param.as_deref() == Some(NAME)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use serde_json::json;

    use super::*;

    #[test]
    fn every_tool_has_a_definition_with_both_schemas_and_all_hints() {
        for tool in Tool::COMMON.into_iter().chain([Tool::ChatWith("ada".to_owned())]) {
            let definition = tool.definition().unwrap();
            let schemas = [Some(&definition.input_schema), definition.output_schema.as_ref()];
            for schema in schemas.map(|schema| Value::Object(schema.unwrap().as_ref().clone())) {
                assert_eq!(schema["type"], "object", "{}", definition.name);
                assert_eq!(persona::persona::schema::unusable(&schema), None, "{}", definition.name);
            }
            let hints = json!(definition.annotations);
            let named = ["readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"];
            assert!(named.iter().all(|hint| hints[hint].is_boolean()), "{hints}");
            assert_eq!(hints["readOnlyHint"] == true, tool.scope() == Scope::Read, "{}", definition.name);
        }
    }

    #[test]
    fn a_tool_is_found_by_the_name_that_it_is_listed_under() {
        assert_eq!(Tool::named("list_personas"), Some(Tool::ListPersonas));
        assert_eq!(Tool::named("chat_with_ada"), Some(Tool::ChatWith("ada".to_owned())));
        for name in ["chat_with_", "chat", "", "List_Personas"] {
            assert_eq!(Tool::named(name), None, "{name}");
        }
    }
}
