//! The tenant: proof that a workspace was authenticated. Storage takes `&Tenant`, so code that forgets it does not compile.

use crate::id::WorkspaceId;

/// A workspace in whose name storage may be touched. Made by authentication, by reading a message that this system
/// enqueued, by the administrator's functions, and where a membership of somebody who has signed in was found; nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tenant(WorkspaceId);

impl Tenant {
    pub(crate) const fn of(workspace: WorkspaceId) -> Self {
        Self(workspace)
    }

    /// The workspace.
    pub const fn workspace(&self) -> WorkspaceId {
        self.0
    }
}
