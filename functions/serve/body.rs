//! Bodies of answers: whole, or events as they come. A streamed body never errors.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream, stream::BoxStream};
use http_body::Frame;

use super::{
    ending::Ending,
    reply::{EventSource, next_live},
};

/// Texts of a stream that go out at once, at most.
const TOGETHER: usize = 64;

type Pieces = Pin<Box<dyn Stream<Item = Bytes> + Send>>;

/// The body of an answer.
pub(super) enum ReplyBody {
    Whole(Option<Bytes>),
    Events(Pieces),
}

impl ReplyBody {
    pub(super) fn whole(text: String) -> Self {
        Self::Whole((!text.is_empty()).then(|| Bytes::from(text)))
    }

    /// The call ends with its last event, or when the caller leaves.
    pub(super) fn events(source: Box<EventSource>, ending: Ending) -> Self {
        let pieces = stream::unfold((source, ending), |(mut source, mut ending)| async move {
            let piece = source.next_piece().await?;
            ending.first_byte();
            Some((Bytes::from(piece), (source, ending)))
        });
        Self::Events(pieces.boxed())
    }

    /// The same of texts that come from elsewhere; those that are there together go out together.
    pub(super) fn live(texts: BoxStream<'static, String>, ending: Ending) -> Self {
        let texts = texts.ready_chunks(TOGETHER).map(|texts| texts.concat()).boxed();
        let pieces = stream::unfold((texts, ending), |(mut texts, mut ending)| async move {
            let piece = next_live(&mut texts).await?;
            ending.first_byte();
            Some((Bytes::from(piece), (texts, ending)))
        });
        Self::Events(pieces.boxed())
    }

    /// For the buffered runtime, whose routes never stream.
    pub(super) fn into_buffered(self) -> lambda_http::Body {
        match self {
            Self::Whole(Some(bytes)) => lambda_http::Body::Text(String::from_utf8_lossy(&bytes).into_owned()),
            Self::Whole(None) | Self::Events(_) => lambda_http::Body::Empty,
        }
    }
}

impl http_body::Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Events(pieces) => {
                pieces.poll_next_unpin(context).map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))))
            }
        }
    }
}
