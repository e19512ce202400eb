//! Personas as resources: `persona://psn_…`, the same YAML as `GET /v1/personas/{persona}` answers.

use persona::{Error, Result, error::Code, key::Scope, persona::yaml, store::personas::PersonaEntry};
use rmcp::model::{
    Annotations, CacheScope, CompleteRequestParams, CompletionInfo, PaginatedRequestParams,
    ReadResourceResult, Resource, ResourceContents, ResourceTemplate,
};

use super::{server::Server, tools::Outline};
use crate::personas::access;

const SCHEME: &str = "persona://";
/// How resources that no list has shown are named.
const TEMPLATE: &str = "persona://{persona}{?version}";
const YAML: &str = "application/yaml";

/// The address of a persona.
pub(super) fn uri(entry: &PersonaEntry) -> String {
    format!("{SCHEME}{}", entry.id)
}

/// A persona as a list shows it, and as the results of tools point to it.
pub(super) fn listed(entry: &PersonaEntry) -> Result<Resource> {
    let outline = Outline::of(entry)?;
    let line = outline.line();
    let mut changed = Annotations::default();
    changed.last_modified = Some(outline.updated_at);
    Ok(Resource::new(uri(entry), entry.slug.clone())
        .with_title(outline.name)
        .with_description(line)
        .with_mime_type(YAML)
        .with_annotations(changed))
}

impl Server {
    /// A page of resources; none for a key that may not read.
    pub(super) async fn resources(
        &self,
        page: Option<&PaginatedRequestParams>,
    ) -> Result<(Vec<Resource>, Option<String>)> {
        if !self.may(Scope::Read) {
            return Ok((Vec::new(), None));
        }
        let (entries, next) = self.personas("mcp resources", page).await?;
        Ok((entries.iter().map(listed).collect::<Result<_>>()?, next))
    }

    /// The template, for a key that may read.
    pub(super) fn templates(&self) -> Vec<ResourceTemplate> {
        let template = ResourceTemplate::new(TEMPLATE, "persona")
            .with_title("A persona")
            .with_description("A persona by its id or slug as YAML, or an older version of it.")
            .with_mime_type(YAML);
        if self.may(Scope::Read) { vec![template] } else { Vec::new() }
    }

    /// Slugs that begin as what is typed for the template's persona; nothing else can be completed.
    pub(super) async fn completed(&self, request: &CompleteRequestParams) -> Result<CompletionInfo> {
        let asked = (request.r#ref.as_resource_uri(), request.argument.name.as_str());
        if asked != (Some(TEMPLATE), "persona") || !self.may(Scope::Read) {
            return Ok(CompletionInfo::default());
        }
        let typed = request.argument.value.as_str();
        let keep =
            |entry: &PersonaEntry| entry.slug.starts_with(typed) && access::may_see(&self.caller, entry);
        let store = self.app.store().await;
        let page = store.personas(self.caller.tenant(), None, CompletionInfo::MAX_VALUES, keep).await?;
        let slugs = page.items.into_iter().map(|(_, entry)| entry.slug).collect();
        CompletionInfo::with_pagination(slugs, None, page.next.is_some()).map_err(Error::internal)
    }

    /// One persona as YAML. Answered as unknown is what no address of ours is, and what is another workspace's.
    pub(super) async fn resource(&self, uri: &str) -> Result<ReadResourceResult> {
        self.caller.require(Scope::Read)?;
        let (name, version) = parsed(uri).ok_or_else(|| unknown(uri))?;
        let found = access::find(&self.app, &self.caller, name, version).await;
        let entry = found.map_err(|error| if error.code == Code::NotFound { unknown(uri) } else { error })?;
        let text = yaml::to_yaml(&entry.document()?)?;
        let contents = ResourceContents::text(text, uri).with_mime_type(YAML);
        // An edit must be seen at once.
        Ok(ReadResourceResult::new(vec![contents]).with_ttl_ms(0).with_cache_scope(CacheScope::Private))
    }
}

/// Id or slug, and the version where one is named.
fn parsed(uri: &str) -> Option<(&str, Option<u64>)> {
    let rest = uri.strip_prefix(SCHEME)?;
    match rest.split_once("?version=") {
        None => Some((rest, None)),
        Some((name, version)) => Some((name, Some(version.parse().ok()?))),
    }
}

fn unknown(uri: &str) -> Error {
    let shown: String = uri.chars().take(120).collect();
    Error::new(
        Code::NotFound,
        format!("There is no resource \"{shown}\". Read persona://psn_… as resources/list names it."),
    )
    .with_param("uri")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_persona_and_perhaps_a_version() {
        assert_eq!(parsed("persona://ada"), Some(("ada", None)));
        assert_eq!(parsed("persona://psn_1?version=2"), Some(("psn_1", Some(2))));
        for none in ["file:///etc/passwd", "persona:ada", "persona://ada?version=new", "ada"] {
            assert_eq!(parsed(none), None, "{none}");
        }
    }
}
