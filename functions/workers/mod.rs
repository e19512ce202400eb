//! What runs on queues and schedules.

pub mod reaper;
pub mod steps;
