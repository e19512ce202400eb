//! `persona chat`: one message and its answer, or a talk.

use std::io::{self, IsTerminal};

use clap::{Args, ValueEnum};
use rustyline::error::ReadlineError;
use serde_json::{Value, json};

use super::{input, listing};
use crate::{
    Result,
    api::Api,
    arguments::Session,
    events::Following,
    failure::Failure,
    screen::{CYAN, DIM, GREEN, RED, STRONG, Screen, visible},
};

/// Talks to a persona. Without a message, a talk on a terminal; elsewhere, what is piped in.
#[derive(Args)]
pub(crate) struct Chat {
    /// Its id or slug
    persona: String,
    /// Say this, and end with the answer
    message: Option<String>,
    /// Go on with this conversation
    #[arg(long, value_name = "conv_…")]
    conversation: Option<String>,
    /// Tools that it may use, such as web.search
    #[arg(long, value_delimiter = ',')]
    tools: Vec<String>,
    /// What is done about drift, in a new conversation
    #[arg(long, value_enum)]
    drift_policy: Option<DriftPolicy>,
}

/// What is done about drift.
#[derive(Clone, Copy, ValueEnum)]
enum DriftPolicy {
    /// Measure it
    Observe,
    /// Remind the persona of itself
    Reanchor,
    /// Have it answer again
    Regenerate,
}

/// A conversation that is held.
struct Talk<'a> {
    api: &'a Api,
    screen: &'a Screen,
    conversation: String,
    tools: Vec<String>,
}

impl Chat {
    /// Talks.
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<()> {
        let (api, screen) = (session.api()?, session.screen);
        let message = match &self.message {
            Some(message) => Some(message.clone()),
            None => input::piped().await?,
        };
        let persona = api.get(&["personas", &self.persona]).value().await?;
        api.tell_simulation(screen);
        let conversation = self.conversation(&api, &persona).await?;
        let talk = Talk { api: &api, screen, conversation, tools: self.tools };
        match message {
            Some(message) if message.trim().is_empty() => Err(Failure::usage("There is nothing to say.")),
            Some(message) => talk.once(message.trim()).await,
            None if screen.is_json() => Err(Failure::usage("A talk has no JSON form.")
                .hint("give the message: persona chat PERSONA MESSAGE --json")),
            None => talk.hold(&persona).await,
        }
    }

    async fn conversation(&self, api: &Api, persona: &Value) -> Result<String> {
        if let Some(conversation) = &self.conversation {
            return Ok(conversation.clone());
        }
        let mut body = json!({"persona_id": persona["id"]});
        if let Some(policy) = self.drift_policy.and_then(|policy| policy.to_possible_value()) {
            body["drift_policy"] = json!(policy.get_name());
        }
        let begun = api.post(&["chat", "conversations"]).json(&body).value().await?;
        Ok(listing::cell(begun.get("id")))
    }
}

impl Talk<'_> {
    /// A message and its answer.
    async fn once(&self, message: &str) -> Result<()> {
        let turn = self.interruptible(message).await?;
        if self.screen.is_json() {
            return self.screen.json_line(&turn);
        }
        self.measured(&turn);
        self.screen.note(format_args!("{DIM}go on: --conversation {}{DIM:#}", self.conversation));
        Ok(())
    }

    /// Messages until the person has enough.
    async fn hold(&self, persona: &Value) -> Result<()> {
        let name = visible(persona["identity"]["name"].as_str().unwrap_or("persona"));
        let greeting = visible(persona["voice"]["greeting"].as_str().unwrap_or_default());
        self.screen.line(format_args!("{STRONG}{name}{STRONG:#}  {greeting}"))?;
        self.screen.note(format_args!("{DIM}{}  Ctrl-D ends{DIM:#}", self.conversation));
        let mut editor = rustyline::DefaultEditor::new().map_err(Failure::internal)?;
        loop {
            let said = match editor.readline("> ") {
                Ok(said) => said,
                Err(ReadlineError::Eof | ReadlineError::Interrupted) => break,
                Err(error) => return Err(Failure::internal(error)),
            };
            if said.trim().is_empty() {
                continue;
            }
            // It is convenience alone, so it may fail.
            let _ = editor.add_history_entry(said.as_str());
            self.screen.text(&format!("{STRONG}{name}{STRONG:#}  "))?;
            match self.interruptible(said.trim()).await {
                Ok(turn) => self.measured(&turn),
                Err(failure) if failure.silent().is_some() => return Err(failure),
                // The talk goes on: what failed was one answer.
                Err(failure) => {
                    self.screen.note("");
                    self.screen.and_tell(Err(failure));
                }
            }
        }
        self.screen.note(format_args!("{DIM}go on later: --conversation {}{DIM:#}", self.conversation));
        Ok(())
    }

    /// A turn that Ctrl-C stops listening to.
    async fn interruptible(&self, message: &str) -> Result<Value> {
        tokio::select! {
            turn = self.turn(message) => turn,
            _ = tokio::signal::ctrl_c() => {
                if io::stdout().is_terminal() {
                    self.screen.line("")?;
                }
                Err(Failure::interrupted(self.screen.unfinished()))
            }
        }
    }

    /// Says something, shows the answer as it comes, and gives the turn.
    async fn turn(&self, message: &str) -> Result<Value> {
        let mut body = json!({"message": message, "stream": true});
        if !self.tools.is_empty() {
            body["tools"] = json!(self.tools);
        }
        let path = ["chat", "conversations", &self.conversation, "messages"];
        let mut events = Following::begun_by(self.api, self.api.post(&path).json(&body)).await?;
        let run = events.run().to_owned();
        self.screen.begun(&run);
        let mut turn = Value::Null;
        while let Some(event) = events.next().await? {
            match event.event.as_str() {
                "message.delta" if !self.screen.is_json() => {
                    self.screen.text(&visible(event.text("delta")))?;
                }
                "tool.called" => {
                    self.screen.note(format_args!("{DIM}[{}]{DIM:#}", visible(event.text("tool"))));
                }
                "message.completed" => {
                    turn = event.data.clone();
                    if !self.screen.is_json() {
                        self.screen.line("")?;
                    }
                }
                _ => {}
            }
            event.verdict(&run)?;
        }
        self.screen.finished();
        Ok(turn)
    }

    /// How far the answer was from the persona.
    fn measured(&self, turn: &Value) {
        let number = |pointer: &str| turn.pointer(pointer).and_then(Value::as_f64).unwrap_or_default();
        let verdict = turn.pointer("/drift/verdict").and_then(Value::as_str).unwrap_or("not measured");
        let style = match verdict {
            "in-character" => GREEN,
            "out-of-character" => RED,
            _ => CYAN,
        };
        let (voice, values, coherence) =
            (number("/drift/voice"), number("/drift/values"), number("/coherence"));
        let cost = number("/cost_usd");
        self.screen.note(format_args!(
            "{DIM}drift: voice {voice:.2}, values {values:.2}{DIM:#}  {style}{verdict}{style:#}  {DIM}coherence {coherence:.1}, ${cost:.4}{DIM:#}"
        ));
    }
}
