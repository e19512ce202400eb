//! What a call tells of its progress, to a caller that gave a token for it.

use rmcp::{
    Peer, RoleServer,
    model::{ProgressNotificationParam, ProgressToken},
    service::RequestContext,
};

/// Tells a caller how far its call is.
pub(super) struct Progress {
    peer: Peer<RoleServer>,
    token: Option<ProgressToken>,
}

impl Progress {
    pub(super) fn of(context: &RequestContext<RoleServer>) -> Self {
        Self { peer: context.peer.clone(), token: context.meta.get_progress_token() }
    }

    /// Whether anyone wants to know.
    pub(super) fn is_wanted(&self) -> bool {
        self.token.is_some()
    }

    /// Tells how much is done, of how much where that is known. `done` grows from one time to the next.
    pub(super) async fn tell(&self, done: usize, of: Option<usize>, message: impl Into<String>) {
        let Some(token) = self.token.clone() else { return };
        let mut told = ProgressNotificationParam::new(token, done as f64).with_message(message);
        told.total = of.map(|of| of as f64);
        // The caller may have gone; the call goes on.
        let _ = self.peer.notify_progress(told).await;
    }
}
