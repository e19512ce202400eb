//! A turn that speaks, for whoever answers with it: whole, or as it is made. It goes on when the caller leaves.

use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use persona::{
    Error, Result,
    conversation::turn::{Spoken, Turn},
    run::events::Event,
};
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::JoinHandle,
};

/// What a turn comes to.
pub(crate) async fn whole(turn: Turn) -> Result<Spoken> {
    ended(tokio::spawn(turn.speak(None))).await
}

/// A turn on its way.
pub(crate) struct Speaking {
    heard: Vec<Event>,
    coming: UnboundedReceiver<Event>,
    end: JoinHandle<Result<Spoken>>,
}

impl Speaking {
    /// Lets the turn speak, and waits for its first word for `silence` at most. One that fails before is the error itself,
    /// so that it can be answered with its own status.
    pub(crate) async fn begin(turn: Turn, silence: Duration) -> Result<Self> {
        let mut heard = turn.first_events();
        let (sender, mut coming) = unbounded_channel();
        let end = tokio::spawn(turn.speak(Some(sender)));
        let begun = tokio::time::timeout(silence, coming.recv()).await.ok().flatten();
        if begun.as_ref().is_some_and(|event| event.body.event == "run.failed") {
            return match ended(end).await {
                Err(error) => Err(error),
                Ok(_) => Err(Error::internal("a turn that failed was spoken")),
            };
        }
        heard.extend(begun);
        Ok(Self { heard, coming, end })
    }

    /// Its events to the last one, and what it comes to.
    pub(crate) fn parts(
        self,
    ) -> (impl Stream<Item = Event> + Send + 'static, impl Future<Output = Result<Spoken>> + Send) {
        let coming =
            stream::unfold(self.coming, |mut coming| async move { Some((coming.recv().await?, coming)) });
        (stream::iter(self.heard).chain(coming), ended(self.end))
    }
}

async fn ended(end: JoinHandle<Result<Spoken>>) -> Result<Spoken> {
    end.await.map_err(Error::internal)?
}
