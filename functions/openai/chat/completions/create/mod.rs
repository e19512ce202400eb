//! `POST /v1/openai/chat/completions`: a persona answers as a model does, by itself or in a conversation.

mod answer;
mod body;
mod messages;

use std::{future::ready, time::Duration};

use futures_util::{StreamExt, stream};
use persona::{
    Error, Result,
    app::App,
    config::Setting,
    conversation::turn::{Turn, Whom, begin_completion},
    error::Code,
    key::{Mode, Scope},
};

use self::answer::Answering;
pub use self::body::Body;
use crate::{
    Form, Route,
    conversations::speaking::{self, Speaking},
    openai::access::{self, Named},
    serve::{Call, Payload, Reply},
};

/// Attaches a completion to a conversation.
const CONVERSATION: &str = "X-Persona-Conversation-Id";

/// How long a stream waits for the first word before it says 200. OpenAI's clients try again by themselves after an
/// answer of 503, and never after a stream that broke; they wait for either much longer.
const SILENCE: Duration = Duration::from_secs(10);

/// The route.
pub const ROUTE: Route = Route {
    bin: "completions-create",
    method: "POST",
    path: "/v1/openai/chat/completions",
    summary: "Let a persona answer, as OpenAI's clients ask a model.",
    scope: Scope::Chat,
    streaming: true,
    query: &[],
    headers: &[CONVERSATION],
    body: Some(include_str!("request.json")),
    answers: &[(200, Form::Object("chat_completion")), (200, Form::Chunks)],
    errors: &[
        Code::CostBudgetExceeded,
        Code::WorkspaceBudgetExceeded,
        Code::IntentBlocked,
        Code::NotFound,
        Code::ConversationBusy,
        Code::ProviderUnavailable,
    ],
    settings: &[
        Setting::WorkspacesTable,
        Setting::PersonasTable,
        Setting::RunsTable,
        Setting::ConversationsTable,
        Setting::WebhooksTable,
        Setting::EventsQueueUrl,
        Setting::ProvidersSecret,
    ],
};

/// Begins the completion, lets it speak in a task of its own, and answers or streams.
pub async fn handle(app: App, call: Call<Body>) -> Result<Reply> {
    let asked = call.body.asked(whom(&app, &call).await?)?;
    let stream = asked.stream;
    let turn = match begin_completion(&app, &call.caller, asked, call.origin.clone()).await {
        Ok(turn) => turn,
        Err(error) => return Err(about_the_model(&app, &call, error).await),
    };
    let answering = answering(&app, &call, &turn);
    let location = format!("/v1/runs/{}", turn.run());
    let reply = if stream {
        streamed(answering, turn).await?
    } else {
        Reply::json(200, answering.whole(&speaking::whole(turn).await?))
    };
    Ok(reply.with_header("location", location))
}

/// With the header a conversation's persona, else a persona by itself.
async fn whom(app: &App, call: &Call<Body>) -> Result<Whom> {
    let model = call.body.model.as_str();
    let Some(header) = call.header(CONVERSATION) else {
        let persona = access::find(app, &call.caller, model).await?;
        return Ok(Whom::Alone { persona: persona.id, version: persona.version });
    };
    let id = header.parse().map_err(|_| Error::not_found("conversation", header).with_param(CONVERSATION))?;
    let Named { name, version } = access::named(model)?;
    Ok(Whom::Conversation { id, named: name.to_owned(), version })
}

fn answering(app: &App, call: &Call<Body>, turn: &Turn) -> Answering {
    Answering {
        run: turn.run(),
        model: call.body.model.clone(),
        persona: turn.persona(),
        created: app.clock().epoch_millis() / 1_000,
        simulated: call.caller.mode == Mode::Test,
        tells_usage: call.body.tells_usage(),
        calls_at_most: call.body.calls_at_most(),
    }
}

/// A conversation with somebody else is a mistake in `model`, unless that model is unknown to this caller anyway.
async fn about_the_model(app: &App, call: &Call<Body>, error: Error) -> Error {
    match error.param.as_deref() {
        Some("persona_id") => match access::find(app, &call.caller, &call.body.model).await {
            Ok(_) => Error::invalid("model", error.message),
            Err(unknown) => unknown,
        },
        None if error.code == Code::NotFound => error.with_param(CONVERSATION),
        _ => error,
    }
}

async fn streamed(answering: Answering, turn: Turn) -> Result<Reply> {
    let (events, end) = Speaking::begin(turn, SILENCE).await?.parts();
    let begin = answering.begin();
    let pieces = answering.clone();
    let words = events.filter_map(move |event| {
        let piece = event.body.data["delta"].as_str().filter(|_| event.body.event == "message.delta");
        ready(piece.map(|piece| pieces.piece(piece)))
    });
    let end = stream::once(async move { answering.end(end.await) });
    let texts = stream::iter([begin]).chain(words).chain(end);
    Ok(Reply::new(200, Payload::Live(texts.boxed())))
}
