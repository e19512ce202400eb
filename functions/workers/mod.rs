//! What runs on queues and schedules.

pub mod reaper;
mod records;
pub mod steps;
pub mod webhook_deliveries;
pub mod webhook_fanout;
