//! What is asked for and what is granted: scopes in a workspace, to the command line, in a person's name.

use serde::{Deserialize, Serialize};

use super::{
    person::Person,
    refusal::{Reason, Refusal, Result},
};
use crate::{id::WorkspaceId, key::Scope};

/// Every scope, in the order in which they are told.
const SCOPES: [Scope; 4] = [Scope::Read, Scope::Write, Scope::Chat, Scope::Admin];
/// What is asked for where nothing is said: all but administration.
const USUAL: [Scope; 3] = [Scope::Read, Scope::Write, Scope::Chat];

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// What the key is to be good for.
    pub scopes: Vec<Scope>,
    /// In which workspace; the person chooses where the client does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<WorkspaceId>,
}

/// What a person has granted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Grant {
    /// Who.
    pub person: Person,
    /// Where.
    pub workspace_id: WorkspaceId,
    /// What.
    pub scopes: Vec<Scope>,
}

impl Asked {
    /// Reads `scope` and `workspace` as clients send them.
    pub fn parse(scope: Option<&str>, workspace: Option<&str>) -> Result<Self> {
        Ok(Self { scopes: scopes(scope)?, workspace: workspace.map(workspace_id).transpose()? })
    }

    /// What of it a member may have whose own scopes are `own`.
    pub fn within(&self, own: &[Scope]) -> Vec<Scope> {
        let may = |scope: &Scope| own.contains(scope) || own.contains(&Scope::Admin);
        self.scopes.iter().copied().filter(may).collect()
    }
}

fn scopes(text: Option<&str>) -> Result<Vec<Scope>> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(USUAL.to_vec()) };
    let mut asked = Vec::new();
    for name in text.split_ascii_whitespace() {
        let Some(scope) = SCOPES.into_iter().find(|scope| scope.as_str() == name) else {
            let shown: String = name.chars().take(40).collect();
            let message = format!("There is no scope \"{shown}\". Ask for read, write, chat or admin.");
            return Err(Refusal::new(Reason::InvalidScope, message));
        };
        asked.push(scope);
    }
    Ok(SCOPES.into_iter().filter(|scope| asked.contains(scope)).collect())
}

fn workspace_id(text: &str) -> Result<WorkspaceId> {
    text.parse().map_err(|_| {
        let shown: String = text.chars().take(40).collect();
        let message = format!("\"{shown}\" is no id of a workspace. It is ws_ and 22 letters and digits.");
        Refusal::new(Reason::InvalidRequest, message)
    })
}

/// Scopes as OAuth writes them.
pub fn joined(scopes: &[Scope]) -> String {
    scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn scopes_are_read_in_any_order_and_administration_is_asked_for_by_name() {
        assert_eq!(Asked::parse(None, None).unwrap().scopes, USUAL);
        assert_eq!(Asked::parse(Some("chat read chat"), None).unwrap().scopes, [Scope::Read, Scope::Chat]);
        assert_eq!(Asked::parse(Some("admin"), None).unwrap().scopes, [Scope::Admin]);
        assert_eq!(Asked::parse(Some("root"), None).unwrap_err().reason, Reason::InvalidScope);
        assert_eq!(Asked::parse(None, Some("acme")).unwrap_err().reason, Reason::InvalidRequest);
    }

    #[test]
    fn nobody_is_granted_more_than_they_have_and_administrators_have_everything() {
        let asked = Asked::parse(Some("read write admin"), None).unwrap();
        assert_eq!(asked.within(&[Scope::Read, Scope::Chat]), [Scope::Read]);
        assert_eq!(asked.within(&[Scope::Admin]), [Scope::Read, Scope::Write, Scope::Admin]);
        assert!(asked.within(&[Scope::Chat]).is_empty());
    }
}
