//! The command line: what can be said, and what each command is given.

use clap::{Args, CommandFactory, Parser, Subcommand};
use secrecy::SecretString;
use url::Url;

use crate::{
    Result,
    api::Api,
    commands::{
        auth, chat, completion, conversations, fields, keys, marketplace, mcp, personas, pipelines, runs,
        usage, webhooks, workspace,
    },
    failure::{Class, Failure},
    screen::Screen,
    secrets::Secrets,
    settings::{self, Profile, Settings},
};

/// Personas from the command line: create, chat, edit, follow, and bridge MCP.
#[derive(Parser)]
#[command(name = "persona", version, propagate_version = false, arg_required_else_help = true, after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

const AFTER_HELP: &str = "Exit codes: 0 done, 1 internal, 2 usage, 3 invalid request or not found, 4 authentication, 5 billing, \
6 moderation, 7 conflict, 8 consistency, 9 rate limit, 10 provider, 11 network, 12 run cancelled, 130 interrupted.";

/// What every command takes.
#[derive(Args)]
pub(crate) struct Global {
    /// Answer in JSON; errors are JSON too, on standard error
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
    /// Use this profile of the configuration file
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        env = "PERSONA_PROFILE",
        help_heading = "Global options"
    )]
    pub profile: Option<String>,
    /// Insist on this workspace: a key of another one is refused
    #[arg(
        long,
        global = true,
        value_name = "ws_…",
        env = "PERSONA_WORKSPACE",
        help_heading = "Global options"
    )]
    pub workspace: Option<String>,
    /// Ask this service [default: https://api.persona.dev]
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "PERSONA_BASE_URL",
        help_heading = "Global options"
    )]
    pub base_url: Option<String>,
}

/// The commands.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Sign in and out
    #[command(subcommand)]
    Auth(auth::Auth),
    /// Create, read, edit and share personas
    #[command(subcommand)]
    Personas(personas::Personas),
    /// Talk to a persona
    Chat(chat::Chat),
    /// Follow, repeat and compare runs
    #[command(subcommand)]
    Runs(runs::Runs),
    /// Read conversations and their drift
    #[command(subcommand)]
    Conversations(conversations::Conversations),
    /// Create, rotate and revoke keys
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Be told of events
    #[command(subcommand)]
    Webhooks(webhooks::Webhooks),
    /// Define custom fields
    #[command(subcommand)]
    Schema(fields::Schema),
    /// Read pipelines, and define some
    #[command(subcommand)]
    Pipelines(pipelines::Pipelines),
    /// Find and install published personas
    #[command(subcommand)]
    Marketplace(marketplace::Marketplace),
    /// What runs have used
    Usage(usage::Usage),
    /// The workspace: plan, limits, active pipeline
    Workspace(workspace::Workspace),
    /// Personas as tools for hosts of the Model Context Protocol
    #[command(subcommand)]
    Mcp(mcp::Mcp),
    /// Completions for a shell
    Completion(completion::Completion),
    /// The manual page
    #[command(hide = true)]
    Man(completion::Man),
}

impl Command {
    /// Whether the command itself does what Ctrl-C asks for.
    pub(crate) fn ends_itself(&self) -> bool {
        matches!(self, Self::Chat(_) | Self::Webhooks(webhooks::Webhooks::Listen(_)))
    }
}

impl Arguments {
    /// Does what was said.
    pub(crate) async fn run(self, screen: &Screen) -> Result<()> {
        let session = Session { global: self.global, screen };
        match self.command {
            Command::Auth(command) => command.run(&session).await,
            Command::Personas(command) => command.run(&session).await,
            Command::Chat(command) => command.run(&session).await,
            Command::Runs(command) => command.run(&session).await,
            Command::Conversations(command) => command.run(&session).await,
            Command::Keys(command) => command.run(&session).await,
            Command::Webhooks(command) => command.run(&session).await,
            Command::Schema(command) => command.run(&session).await,
            Command::Pipelines(command) => command.run(&session).await,
            Command::Marketplace(command) => command.run(&session).await,
            Command::Usage(command) => command.run(&session).await,
            Command::Workspace(command) => command.run(&session).await,
            Command::Mcp(command) => command.run(&session).await,
            Command::Completion(command) => command.run(screen, Self::command()),
            Command::Man(command) => command.run(screen, Self::command()),
        }
    }
}

/// What a command works with.
pub(crate) struct Session<'a> {
    global: Global,
    /// Where it prints.
    pub screen: &'a Screen,
}

/// As whom the service is called, and who said so.
pub(crate) struct Identity {
    /// The service.
    pub base: Url,
    /// The profile that was chosen, with its name.
    pub name: String,
    /// What the configuration says of it.
    pub profile: Profile,
    /// The key, if there is one.
    pub key: Option<SecretString>,
    /// Whether it is the environment's.
    pub is_of_environment: bool,
    /// The workspace to insist on.
    pub workspace: Option<String>,
}

/// The variable that holds a key.
pub(crate) const API_KEY: &str = "PERSONA_API_KEY";

impl Session<'_> {
    /// The service, called with the key that is at hand.
    pub(crate) fn api(&self) -> Result<Api> {
        let identity = self.identity()?;
        let Some(key) = identity.key else {
            return Err(Failure::new(
                Class::Authentication,
                format!("Nobody is signed in (profile \"{}\").", identity.name),
            )
            .hint("sign in: persona auth login")
            .hint(format!("or set {API_KEY}")));
        };
        Api::new(identity.base, key, identity.workspace)
    }

    /// The name of the profile in use.
    pub(crate) fn profile_name(&self, settings: &Settings) -> String {
        self.global.profile.clone().unwrap_or_else(|| settings.default_profile().to_owned())
    }

    /// The service as the command line, the environment or the profile names it, in this order.
    pub(crate) fn base(&self, profile: &Profile) -> Result<Url> {
        let named = self.global.base_url.as_deref().or(profile.base_url.as_deref());
        settings::base_url(named.unwrap_or(settings::BASE_URL))
    }

    /// The workspace that was named.
    pub(crate) fn workspace(&self) -> Option<&str> {
        self.global.workspace.as_deref()
    }

    /// A key of the environment goes before a profile's. A profile's key is sent to the service that it was made by, and to no other.
    pub(crate) fn identity(&self) -> Result<Identity> {
        let settings = Settings::read()?;
        let name = self.profile_name(&settings);
        let known = settings.profile(&name)?;
        if known.is_none() && self.global.profile.is_some() && std::env::var_os(API_KEY).is_none() {
            return Err(Failure::new(Class::Authentication, format!("There is no profile \"{name}\"."))
                .hint(format!("make it: persona auth login --profile {name}")));
        }
        let profile = known.unwrap_or_default();
        let base = self.base(&profile)?;
        let of_environment =
            std::env::var(API_KEY).ok().map(|key| key.trim().to_owned()).filter(|key| !key.is_empty());
        let is_of_environment = of_environment.is_some();
        let key = match (of_environment, profile.secret) {
            (Some(key), _) => Some(SecretString::from(key)),
            (None, Some(place)) => {
                own_service(&base, &name, &profile)?;
                Secrets::beside(&settings).read(&name, place)?
            }
            (None, None) => None,
        };
        let of_profile = profile.workspace.clone().filter(|_| !is_of_environment);
        let workspace = self.global.workspace.clone().or(of_profile);
        Ok(Identity { base, name, profile, key, is_of_environment, workspace })
    }
}

fn own_service(base: &Url, name: &str, profile: &Profile) -> Result<()> {
    let own = settings::base_url(profile.base_url.as_deref().unwrap_or(settings::BASE_URL))?;
    if own == *base {
        return Ok(());
    }
    let (own, other) = (settings::told(&own), settings::told(base));
    let message = format!("The key of profile \"{name}\" belongs to {own} and is not sent to {other}.");
    Err(Failure::new(Class::Authentication, message).hint(format!(
        "sign in there: persona auth login --base-url {other} --profile NAME, or set {API_KEY}"
    )))
}
