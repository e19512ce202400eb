//! `/v1/runs`.
mod cancel;
mod events;
mod replay;
