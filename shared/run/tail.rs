//! The reading end of a run's event log: what is past, then what comes, until the terminal event.

use std::{collections::VecDeque, time::Duration};

use super::events::Event;
use crate::{app::App, config, error::Result, id::RunId, tenant::Tenant};

/// A reader that follows a run.
pub struct Tail {
    app: App,
    tenant: Tenant,
    run: RunId,
    after: u64,
    ready: VecDeque<Event>,
    ended: bool,
    /// Whether `after` is known to be the last event of an item of the log, so that the next one begins behind it.
    at_boundary: bool,
}

impl Tail {
    /// Follows `run` from the event after number `after`.
    pub fn new(app: App, tenant: Tenant, run: RunId, after: u64) -> Self {
        Self { app, tenant, run, after, ready: VecDeque::new(), ended: false, at_boundary: false }
    }

    /// The next event; `None` after the terminal one. Waits as long as it takes.
    pub async fn next(&mut self) -> Result<Option<Event>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.after = event.seq;
                self.ended = event.body.is_terminal();
                return Ok(Some(event));
            }
            if self.ended {
                return Ok(None);
            }
            let store = self.app.store().await;
            let events = if self.at_boundary {
                store.next_events(&self.tenant, self.run, self.after).await?
            } else {
                store.events_after(&self.tenant, self.run, self.after).await?
            };
            self.at_boundary |= !events.is_empty();
            self.ready.extend(events);
            if self.ready.is_empty() {
                tokio::time::sleep(config::poll()).await;
            }
        }
    }

    /// Waits until the run has ended, at most `patience`. Whether it has.
    pub async fn wait_for_end(&mut self, patience: Duration) -> Result<bool> {
        if patience.is_zero() {
            return Ok(false);
        }
        let ended = async {
            while self.next().await?.is_some() {}
            Ok(())
        };
        match tokio::time::timeout(patience, ended).await {
            Ok(done) => done.map(|()| true),
            Err(_) => Ok(false),
        }
    }
}
