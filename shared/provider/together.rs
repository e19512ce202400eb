//! Texts of a stream that are there together, as one: each that is passed on costs an event and a write.

use futures_util::{StreamExt, stream};

use super::{Chunk, CompletionStream, ProviderError};

/// Pieces that are joined, at most.
const TOGETHER: usize = 64;

/// The same stream in fewer pieces. It waits for none: only what has come already is joined.
pub(super) fn together(pieces: CompletionStream) -> CompletionStream {
    pieces.ready_chunks(TOGETHER).flat_map(|pieces| stream::iter(joined(pieces))).boxed()
}

fn joined(pieces: Vec<Result<Chunk, ProviderError>>) -> Vec<Result<Chunk, ProviderError>> {
    let mut joined: Vec<Result<Chunk, ProviderError>> = Vec::new();
    for piece in pieces {
        match (joined.last_mut(), piece) {
            (Some(Ok(Chunk::Text(text))), Ok(Chunk::Text(more))) => text.push_str(&more),
            (_, piece) => joined.push(piece),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{Completion, Failure};

    #[expect(clippy::unnecessary_wraps, reason = "it is a piece of a stream that can fail")]
    fn text(piece: &str) -> Result<Chunk, ProviderError> {
        Ok(Chunk::Text(piece.to_owned()))
    }

    async fn heard(pieces: Vec<Result<Chunk, ProviderError>>) -> Vec<String> {
        let heard = together(stream::iter(pieces).boxed()).map(|piece| match piece {
            Ok(Chunk::Text(text)) => text,
            Ok(Chunk::Done(_)) => "done".to_owned(),
            Err(error) => error.detail,
        });
        heard.collect().await
    }

    #[tokio::test]
    async fn what_is_there_together_is_one_text_before_its_end() {
        let end = Ok(Chunk::Done(Completion::default()));
        assert_eq!(heard(vec![text("Not "), text("to"), text("day."), end]).await, ["Not today.", "done"]);
    }

    #[tokio::test]
    async fn what_was_said_before_a_stream_broke_is_heard() {
        let broken = Err(ProviderError::new(Failure::Unavailable, "broken"));
        assert_eq!(heard(vec![text("Not "), text("to"), broken]).await, ["Not to", "broken"]);
    }

    #[tokio::test]
    async fn what_comes_later_is_not_waited_for() {
        let pieces = stream::iter(["Not ", "today."]).then(|piece| async move {
            tokio::task::yield_now().await;
            text(piece)
        });
        assert_eq!(together(pieces.boxed()).count().await, 2);
    }
}
