//! The domain of Persona. It knows neither Lambda nor any HTTP framework: `functions/` translates.
//!
//! Read `docs/ARCHITECTURE.md` for the walk through the tree.

pub mod consistency;
pub mod error;
pub mod id;
pub mod moderation;
pub mod money;
pub mod persona;
pub mod pipeline;
pub mod provider;

pub use error::{Error, Result};
pub use money::Usd;
