//! Which models answer in which role.

use std::sync::Arc;

use super::{Candidate, Role, sandbox};
use crate::error::Result;

/// The configured candidates of every role, in fallback order.
#[derive(Debug, Clone)]
pub struct Models {
    sandbox: Arc<sandbox::Sandbox>,
}

impl Models {
    /// The built-in sandbox in every role: what workspaces in test mode run on.
    pub fn sandbox() -> Self {
        Self { sandbox: Arc::new(sandbox::Sandbox::default()) }
    }

    /// What the Secrets Manager document configures.
    pub fn from_secret(_document: &str) -> Result<Self> {
        Ok(Self::sandbox())
    }

    /// Who answers in `role`, in order; empty when no one is configured for it.
    pub fn candidates(&self, _role: Role) -> Vec<Candidate> {
        vec![Candidate {
            provider_name: sandbox::NAME.to_owned(),
            model: sandbox::MODEL.to_owned(),
            price: None,
            provider: self.sandbox.clone(),
        }]
    }
}
