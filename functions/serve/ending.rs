//! The one line of a call, written when its answer ends: at once for a whole body, after the last event of a stream.

use std::time::Instant;

use persona::{Error, error::Code, store};
use tracing::Span;

use crate::Endpoint;

/// A call whose answer is on its way. Dropping it writes the line, also when the caller left a stream.
pub(super) struct Ending {
    endpoint: Endpoint,
    begun: Instant,
    store_requests_before: u64,
    status: u16,
    error: Option<&'static str>,
    /// Why, where that is not for the caller; a fault of ours has a line of its own.
    source: Option<String>,
    first_byte_ms: Option<u64>,
    span: Span,
}

impl Ending {
    /// A call that begins now; the current span is the call's.
    pub(super) fn begin(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            begun: Instant::now(),
            store_requests_before: store::requests_sent(),
            status: 0,
            error: None,
            source: None,
            first_byte_ms: None,
            span: Span::current(),
        }
    }

    /// The call failed with this.
    pub(super) fn failed(&mut self, error: &Error) {
        self.failed_as(error.code.as_str(), error.source_chain(), error.code == Code::Internal);
    }

    /// The call failed, in whatever words; a fault of ours has a line of its own.
    pub(super) fn failed_as(&mut self, code: &'static str, source: Option<String>, is_fault: bool) {
        self.error = Some(code);
        self.source = source;
        if is_fault {
            tracing::error!(error.code = code, error.source = self.source.take(), "call failed");
        }
    }

    /// What is answered.
    pub(super) fn answered(&mut self, status: u16) {
        self.status = status;
    }

    /// The first piece of a stream goes out.
    pub(super) fn first_byte(&mut self) {
        if self.first_byte_ms.is_none() {
            self.first_byte_ms = Some(self.elapsed_ms());
        }
    }

    /// Requests to storage that the call has made so far.
    pub(super) fn store_requests(&self) -> u64 {
        store::requests_sent() - self.store_requests_before
    }

    fn elapsed_ms(&self) -> u64 {
        self.begun.elapsed().as_millis() as u64
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let _within = self.span.enter();
        tracing::info!(
            target: persona::METRICS,
            {
                http.method = self.endpoint.method,
                http.route = self.endpoint.path,
                http.status = self.status,
                http.latency_ms = self.elapsed_ms(),
                http.first_byte_ms = self.first_byte_ms,
                http.errors = u64::from(self.status >= 500),
                http.refusals = u64::from((400..500).contains(&self.status)),
                store.requests = self.store_requests(),
                error.code = self.error,
                error.source = self.source.as_deref(),
            },
            "call ended"
        );
    }
}
