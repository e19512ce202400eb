//! `webhooks listen`: events on this terminal, and at a server of this machine.
//!
//! The service delivers to public addresses only, and has no feed of events. So where it can reach this machine (a stack
//! that runs here, or a tunnel that `--public-url` names) a webhook is registered for as long as this runs, and what
//! is forwarded is what was delivered, to the byte. Elsewhere runs are watched, and the events that follow from them are
//! made and signed here.

use std::time::{Duration, Instant};

use clap::Args;
use reqwest::{StatusCode, header::HeaderMap};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use url::Url;

use super::{
    EVENTS,
    receiver::{Delivery, Receiver},
    signing,
    watching::Watch,
};
use crate::{
    Result,
    api::{self, Api},
    commands::listing,
    failure::Failure,
    hex,
    screen::{CYAN, DIM, GREEN, RED, STRONG, Screen, visible},
    settings,
};

/// What is said of a webhook that this program registers.
const DESCRIPTION: &str = "persona webhooks listen";
/// A server that takes longer would have lost the delivery anyway.
const PATIENCE: Duration = Duration::from_secs(9);

/// Where events come from and go to.
#[derive(Args)]
pub(crate) struct Listen {
    /// Forward each event there, such as localhost:3000/webhooks
    #[arg(long, value_name = "URL")]
    forward_to: Option<String>,
    /// Only these kinds [default: all]
    #[arg(long, value_delimiter = ',')]
    events: Vec<String>,
    /// The public address of a tunnel to --port, if you have one
    #[arg(long, value_name = "URL", requires = "port")]
    public_url: Option<String>,
    /// The port of this machine that the service delivers to
    #[arg(long)]
    port: Option<u16>,
    /// Watch runs instead of registering a webhook: needs no key with the scope admin, and knows fewer kinds
    #[arg(long, conflicts_with_all = ["public_url", "port"])]
    watch: bool,
    /// Sign with this secret where events are made here [default: a new one]
    #[arg(long, value_name = "whsec_…", env = "PERSONA_WEBHOOK_SECRET", hide_env_values = true)]
    secret: Option<String>,
}

/// What is done with each event.
pub(super) struct Forwarder<'a> {
    screen: &'a Screen,
    client: reqwest::Client,
    to: Option<Url>,
}

impl Listen {
    /// Listens until Ctrl-C.
    pub(crate) async fn run(self, api: &Api, screen: &Screen) -> Result<()> {
        let unknown = self.events.iter().find(|event| !EVENTS.contains(&event.as_str()));
        if let Some(unknown) = unknown {
            return Err(Failure::usage(format!("There is no event \"{unknown}\".")).hint(EVENTS.join(", ")));
        }
        let to = self.forward_to.as_deref().map(target).transpose()?;
        let forwarder = Forwarder { screen, client: api::client()?, to };
        let events: Vec<&str> = if self.events.is_empty() {
            EVENTS.to_vec()
        } else {
            self.events.iter().map(String::as_str).collect()
        };
        if self.public_url.is_some() || (settings::is_loopback(api.base()) && !self.watch) {
            return self.delivered(api, &forwarder, &events).await;
        }
        let secret = self.secret.clone().unwrap_or_else(new_secret);
        let watched: Vec<&str> = events.into_iter().filter(|event| Watch::KNOWS.contains(event)).collect();
        screen.note(format_args!(
            "Runs of {} are watched, for it cannot reach this machine: {}. Every kind of event comes to a --public-url.",
            settings::told(api.base()),
            watched.join(", ")
        ));
        announced(screen, &secret, forwarder.to.as_ref());
        tokio::select! {
            ended = Watch::begun(api, &watched, &secret).run(&forwarder) => ended,
            _ = tokio::signal::ctrl_c() => Ok(()),
        }
    }

    /// A webhook for as long as this runs.
    async fn delivered(&self, api: &Api, forwarder: &Forwarder<'_>, events: &[&str]) -> Result<()> {
        let receiver = Receiver::bound(self.port.unwrap_or(0)).await?;
        let url = self.public_url.clone().unwrap_or_else(|| format!("http://127.0.0.1:{}/", receiver.port()));
        let body = json!({"url": url, "events": events, "description": DESCRIPTION});
        let webhook = api.post(&["webhooks"]).json(&body).value().await?;
        let id = listing::cell(webhook.get("id"));
        announced(forwarder.screen, &listing::cell(webhook.get("secret")), forwarder.to.as_ref());
        let (sender, mut deliveries) = mpsc::channel::<Delivery>(64);
        let handling = async {
            while let Some(delivery) = deliveries.recv().await {
                let told = forwarder.forward(&delivery.body, &delivery.headers).await;
                // Whoever delivered may have gone, and will come again.
                let _ = delivery.answer.send(told.as_ref().copied().unwrap_or(StatusCode::BAD_GATEWAY));
                told?;
            }
            Ok(())
        };
        let ended = tokio::select! {
            ended = handling => ended,
            () = receiver.serve(sender) => Ok(()),
            _ = tokio::signal::ctrl_c() => Ok(()),
        };
        let gone = api.delete(&["webhooks", &id]).value().await;
        ended.and(
            gone.map(drop)
                .map_err(|failure| failure.hint(format!("remove it: persona webhooks delete {id}"))),
        )
    }
}

/// A server as people write it.
fn target(text: &str) -> Result<Url> {
    let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    Url::parse(&whole).map_err(|error| {
        Failure::usage(format!("--forward-to {text} is no address: {error}."))
            .hint("for example localhost:3000/webhooks")
    })
}

fn new_secret() -> String {
    format!("whsec_{}", hex::digits(&rand::random::<[u8; 24]>()))
}

fn announced(screen: &Screen, secret: &str, to: Option<&Url>) {
    let to = to.map(|to| format!(", forwarded to {to}")).unwrap_or_default();
    screen.note(format_args!("Signed with {STRONG}{secret}{STRONG:#}{to}. Ctrl-C ends."));
}

impl Forwarder<'_> {
    /// Prints an event, forwards it, and gives what its server answers; 200 where there is none.
    pub(super) async fn forward(&self, body: &[u8], headers: &HeaderMap) -> Result<StatusCode> {
        let event: Value = serde_json::from_slice(body).unwrap_or_default();
        let begun = Instant::now();
        let answered = match &self.to {
            None => Ok(StatusCode::OK),
            Some(to) => {
                let own = headers.iter().filter(|(name, _)| {
                    let name = name.as_str();
                    name.starts_with("persona-") || name == "content-type" || name == "user-agent"
                });
                let headers: HeaderMap = own.map(|(name, value)| (name.clone(), value.clone())).collect();
                let request = self.client.post(to.clone()).headers(headers).body(body.to_vec());
                request.timeout(PATIENCE).send().await.map(|response| response.status())
            }
        };
        self.tell(&event, &answered, begun.elapsed())?;
        Ok(answered.unwrap_or(StatusCode::BAD_GATEWAY))
    }

    /// Makes the headers of an event that is made here, and forwards it.
    pub(super) async fn make(&self, event: &Value, secret: &str) -> Result<()> {
        let body = event.to_string();
        let mut headers = HeaderMap::new();
        let values = [
            ("content-type", "application/json".to_owned()),
            ("persona-signature", signing::signature(secret, body.as_bytes())?),
            ("persona-event-id", listing::cell(event.get("id"))),
            ("persona-event-type", listing::cell(event.get("type"))),
            ("persona-delivery-attempt", "1".to_owned()),
        ];
        for (name, value) in values {
            headers.insert(name, value.parse().map_err(Failure::internal)?);
        }
        self.forward(body.as_bytes(), &headers).await.map(drop)
    }

    fn tell(&self, event: &Value, answered: &reqwest::Result<StatusCode>, took: Duration) -> Result<()> {
        if self.screen.is_json() {
            return self.screen.line(event);
        }
        let text = |pointer: &str| visible(&listing::cell(event.pointer(pointer)));
        let about = ["/data/persona_id", "/data/conversation_id", "/data/run_id", "/data/key_id"];
        let about: Vec<String> = about
            .iter()
            .filter(|pointer| event.pointer(pointer).is_some_and(Value::is_string))
            .map(|pointer| text(pointer))
            .collect();
        let outcome = match (&self.to, answered) {
            (None, _) => String::new(),
            (_, Ok(status)) if status.is_success() => {
                format!("  {GREEN}{status}{GREEN:#} {DIM}{} ms{DIM:#}", took.as_millis())
            }
            (_, Ok(status)) => format!("  {RED}{status}{RED:#} {DIM}{} ms{DIM:#}", took.as_millis()),
            (_, Err(_)) => format!("  {RED}no answer{RED:#}"),
        };
        let (at, kind, id) = (text("/created_at"), text("/type"), text("/id"));
        self.screen
            .line(format_args!("{DIM}{at}{DIM:#}  {CYAN}{kind}{CYAN:#}  {id}  {}{outcome}", about.join(" ")))
    }
}
