//! What the server says of itself, and which method does what. One is made for each message: nothing is kept between them.

use std::borrow::Cow;

use persona::{
    Error, Result,
    app::App,
    error::Code,
    key::{Caller, Scope},
    run::Origin,
    store::personas::PersonaEntry,
};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CacheScope, CallToolRequestParams, CallToolResponse, CompleteRequestParams, CompleteResult,
        CustomRequest, CustomResult, DiscoverResult, ErrorCode, GetPromptRequestParams, GetPromptResponse,
        Implementation, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult,
        PaginatedRequestParams, ProtocolVersion, ReadResourceRequestParams, ReadResourceResponse,
        ServerCapabilities, ServerConfig,
    },
    service::RequestContext,
};

use super::failure;
use crate::{
    personas::access,
    serve::{Call, Paging},
};

/// The revisions that are spoken, oldest first: the newest and the two before it.
pub(super) const REVISIONS: &[ProtocolVersion] =
    &[ProtocolVersion::V_2025_06_18, ProtocolVersion::V_2025_11_25, ProtocolVersion::V_2026_07_28];

/// Personas on a page of a list.
const PAGE: usize = 50;
/// How long a client may believe a list, milliseconds: the server cannot tell it that one has changed.
const LIST_TTL: u64 = 30_000;
/// The same of what the server says of itself, which changes with a deployment.
const DISCOVERY_TTL: u64 = 3_600_000;

/// Methods that are answered, should their parameters be as they must; the first is of the revisions that shake hands.
const METHODS: [&str; 10] = [
    "initialize",
    "server/discover",
    "tools/list",
    "tools/call",
    "prompts/list",
    "prompts/get",
    "resources/list",
    "resources/read",
    "resources/templates/list",
    "completion/complete",
];

const INSTRUCTIONS: &str = include_str!("instructions.md");

/// The server, for one message of one caller.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) app: App,
    pub(super) caller: Caller,
    pub(super) origin: Origin,
    pub(super) request_id: String,
    /// Whether the caller sent an `Idempotency-Key` of its own with the message.
    pub(super) keyed: bool,
}

impl Server {
    pub(super) fn new(app: App, call: Call<String>) -> Self {
        let keyed = call.header("idempotency-key").is_some();
        let request_id = call.request_id.to_string();
        Self { app, caller: call.caller, origin: call.origin, request_id, keyed }
    }

    /// A page of the personas that the key may see, newest first, and the cursor of the next page.
    pub(super) async fn personas(
        &self,
        list: &str,
        page: Option<&PaginatedRequestParams>,
    ) -> Result<(Vec<PersonaEntry>, Option<String>)> {
        let cursor = page.and_then(|page| page.cursor.as_deref());
        let paging = Paging::at(&self.app, &self.caller, list, "", cursor, PAGE).await?;
        let keep = |entry: &PersonaEntry| access::may_see(&self.caller, entry);
        let store = self.app.store().await;
        let page = store.personas(self.caller.tenant(), paging.after.as_deref(), paging.limit, keep).await?;
        let next = paging.cursor(page.next.as_deref()).await?;
        Ok((page.items.into_iter().map(|(_, entry)| entry).collect(), next))
    }

    /// Whether the key has a scope; what it has not is not listed.
    pub(super) fn may(&self, scope: Scope) -> bool {
        self.caller.require(scope).is_ok()
    }

    fn told<T>(&self, answered: Result<T>) -> Result<T, ErrorData> {
        answered.map_err(|error| failure::told(&error, &self.request_id))
    }
}

/// What a list says of its freshness: it is the key's own, and is to be read again after a while.
macro_rules! fresh {
    ($list:ident, $field:ident: $items:expr, $next:expr) => {{
        let mut list = $list::default();
        list.$field = $items;
        list.next_cursor = $next;
        list.with_ttl_ms(LIST_TTL).with_cache_scope(CacheScope::Private)
    }};
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        // No list tells that it has changed, and no resource can be subscribed to: there is no session to tell it to.
        let capabilities = ServerCapabilities::builder()
            .enable_completions()
            .enable_tools()
            .enable_prompts()
            .enable_resources()
            .build();
        let name = Implementation::new("persona", persona::API_VERSION)
            .with_title("Persona")
            .with_website_url("https://docs.persona.dev");
        ServerConfig::new(capabilities).with_server_info(name).with_instructions(INSTRUCTIONS)
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        Cow::Borrowed(REVISIONS)
    }

    async fn discover(&self, _context: RequestContext<RoleServer>) -> Result<DiscoverResult, ErrorData> {
        let found = DiscoverResult::from_server_info(REVISIONS.to_vec(), self.get_info());
        Ok(found.with_ttl_ms(DISCOVERY_TTL).with_cache_scope(CacheScope::Private))
    }

    async fn list_tools(
        &self,
        page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let (tools, next) = self.told(self.tools(page.as_ref()).await)?;
        Ok(fresh!(ListToolsResult, tools: tools, next))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let called = self.told(self.call(request, context).await)?;
        Ok(called.into())
    }

    async fn list_prompts(
        &self,
        page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let (prompts, next) = self.told(self.prompts(page.as_ref()).await)?;
        Ok(fresh!(ListPromptsResult, prompts: prompts, next))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        Ok(self.told(self.prompt(&request).await)?.into())
    }

    async fn list_resources(
        &self,
        page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let (resources, next) = self.told(self.resources(page.as_ref()).await)?;
        Ok(fresh!(ListResourcesResult, resources: resources, next))
    }

    async fn list_resource_templates(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(fresh!(ListResourceTemplatesResult, resource_templates: self.templates(), None))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let read = self.resource(&request.uri).await.map_err(|error| {
            let mut told = failure::told(&error, &self.request_id);
            if error.code == Code::NotFound {
                told.code = ErrorCode::RESOURCE_NOT_FOUND;
                told.data = told.data.map(|mut data| {
                    data["uri"] = request.uri.as_str().into();
                    data
                });
            }
            told
        })?;
        Ok(read.into())
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        Ok(CompleteResult::new(self.told(self.completed(&request).await)?))
    }

    /// What `rmcp` has no form for: an unknown method, or a known one whose parameters are not as they must be.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        let method: String = request.method.chars().take(80).collect();
        let shakes_hands = context.protocol_version().is_none_or(|revision| revision.has_initialize());
        let known = &METHODS[usize::from(!shakes_hands)..];
        let (code, why) = if known.contains(&method.as_str()) {
            (
                ErrorCode::INVALID_PARAMS,
                format!("The parameters of {method} are not of their shape. See docs/MCP.md."),
            )
        } else {
            let known = known.join(", ");
            (ErrorCode::METHOD_NOT_FOUND, format!("There is no method \"{method}\". There are {known}."))
        };
        Err(failure::with_code(code, &Error::new(Code::RequestInvalid, why), &self.request_id))
    }
}
