//! Workers are killed, and messages come twice, late, out of order, or forged. These tests want a stack of their own,
//! in which `infra/local exec --kill-every` kills workers at random; without one they say so and fail.

mod chaos;
mod messages;
mod webhooks;
