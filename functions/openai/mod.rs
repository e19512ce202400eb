//! `/v1/openai`: the platform as OpenAI's own clients know one. What they may send and what they are told is OpenAI's
//! form; what happens is the same as on the other routes.

pub(crate) mod access;
pub mod chat;
pub mod embeddings;
pub mod models;

/// Whether a path belongs here: then failures, too, have OpenAI's form.
pub(crate) fn has(path: &str) -> bool {
    path.strip_prefix("/v1/openai").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_of_clients_of_openai_are_known_by_their_path() {
        assert!(has("/v1/openai/models") && has("/v1/openai") && has("/v1/openai/models/{model}"));
        assert!(!has("/v1/openai-like") && !has("/v1/personas"));
    }
}
