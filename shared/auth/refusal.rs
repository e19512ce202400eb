//! Why a sign-in does not go on, in the words of OAuth (RFC 6749 5.2, RFC 8628 3.5, RFC 7009 2.2.1).

use crate::error::{Code, Error};

/// A result whose failure a person or an OAuth client may be shown.
pub type Result<T, E = Refusal> = std::result::Result<T, E>;

macro_rules! reasons {
    ($($variant:ident = $status:literal $name:literal;)*) => {
        /// What kind of refusal, as clients are told.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Reason { $(#[doc = $name] $variant,)* }

        impl Reason {
            /// The value of `error`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
            /// The HTTP status where it is not told by a redirect.
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }
        }
    };
}

reasons! {
    InvalidRequest = 400 "invalid_request";
    InvalidClient = 401 "invalid_client";
    InvalidGrant = 400 "invalid_grant";
    InvalidScope = 400 "invalid_scope";
    UnsupportedGrantType = 400 "unsupported_grant_type";
    UnsupportedResponseType = 400 "unsupported_response_type";
    UnsupportedTokenType = 400 "unsupported_token_type";
    AccessDenied = 400 "access_denied";
    AuthorizationPending = 400 "authorization_pending";
    SlowDown = 400 "slow_down";
    ExpiredToken = 400 "expired_token";
    ServerError = 500 "server_error";
    ProviderFailed = 502 "server_error";
    NotSetUp = 503 "temporarily_unavailable";
}

/// A refusal with what may be read of it and, apart from it, what only the log may say.
#[derive(Debug)]
pub struct Refusal {
    /// What kind.
    pub reason: Reason,
    /// What happened, and what to do.
    pub message: String,
    /// For the log.
    pub source: Option<String>,
}

impl Refusal {
    /// A refusal with a public message.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), source: None }
    }

    /// Adds what only the log may show.
    #[must_use]
    pub fn because(mut self, source: impl std::fmt::Display) -> Self {
        self.source = Some(source.to_string());
        self
    }

    /// Whether it is a fault of ours or of the provider's, not of who called.
    pub const fn is_fault(&self) -> bool {
        self.reason.status() >= 500
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let reason = if error.code == Code::Internal { Reason::ServerError } else { Reason::InvalidRequest };
        Self { reason, source: error.source_chain(), message: error.message }
    }
}

/// Where a deployment has no provider, signing in says so, and names what is missing.
pub fn not_set_up() -> Refusal {
    Refusal::new(
        Reason::NotSetUp,
        "Signing in is not set up in this deployment. Its operator must name an OpenID Connect provider in the secret that SIGN_IN_SECRET names (docs/SIGNING_IN.md). Until then, use a key: persona auth login --with-key, or PERSONA_API_KEY.",
    )
}
