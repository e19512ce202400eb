//! Pages that people see while they sign in: templates of this folder, escaped, without a script.

use std::sync::OnceLock;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use minijinja::{Environment, UndefinedBehavior};
use persona::{
    auth::{
        CLIENT_NAME, Config, Reason, Refusal, UserCode,
        browser::{Browser, Choice, Deciding},
    },
    key::Scope,
};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;

use super::own;
use crate::serve::{Payload, Reply};

macro_rules! templates {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("pages/", $name)))),*]
    };
}

const TEMPLATES: &[(&str, &str)] =
    templates!["page.html.j2", "approve.html.j2", "device.html.j2", "code.html.j2", "told.html.j2"];
const STYLE: &str = include_str!("pages/style.css");

/// What browsers may do with our pages: show them, in our style, and send their form to us. `sends` is one more place that
/// the form's answer leads to.
pub fn policy(sends: &str) -> String {
    static STYLED: OnceLock<String> = OnceLock::new();
    let style = STYLED.get_or_init(|| STANDARD.encode(Sha256::digest(STYLE.as_bytes())));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; form-action 'self'{sends}; base-uri 'none'; frame-ancestors 'none'"
    )
}

/// The page that asks a person what to grant.
pub(super) fn approval(config: &Config, browser: &Browser, deciding: &Deciding) -> Reply {
    let grantable = |choice: &&Choice| !choice.scopes.is_empty();
    let id = |choice: &Choice| choice.entered.workspace.id;
    let mut choosable = deciding.choices.iter().filter(grantable);
    let first = choosable.clone().next();
    let chosen = choosable.find(|choice| Some(id(choice)) == deciding.asked).or(first).map(id);
    let choices = deciding.choices.iter().map(|choice| {
        let workspace = &choice.entered.workspace;
        json!({
            "id": workspace.id, "name": workspace.name, "mode": workspace.mode, "scopes": choice.scopes,
            "chosen": Some(workspace.id) == chosen,
        })
    });
    let mut page = form(config, browser);
    page["client"] = CLIENT_NAME.into();
    page["person"] = deciding.person.shown().into();
    page["verified"] = deciding.person.email.is_some().into();
    page["choices"] = choices.collect();
    page["grantable"] = chosen.is_some().into();
    page["administers"] = deciding.choices.iter().any(|it| it.scopes.contains(&Scope::Admin)).into();
    page["missing"] =
        json!(deciding.asked.filter(|asked| !deciding.choices.iter().any(|it| id(it) == *asked)));
    page["user_code"] = json!(deciding.user_code.as_ref().map(ToString::to_string));
    page["redirect_uri"] = json!(deciding.redirect_uri);
    let sends = deciding.redirect_uri.as_deref().map(origin).unwrap_or_default();
    rendered(200, "approve.html.j2", page).with_header("content-security-policy", policy(&sends))
}

/// The page that asks again for a device's code.
pub(super) fn code(config: &Config, browser: &Browser, wrong: bool) -> Reply {
    let mut page = form(config, browser);
    page["wrong"] = wrong.into();
    rendered(200, "code.html.j2", page)
}

/// The page on which a device's code is entered, or confirmed.
pub(super) fn device(config: &Config, code: Option<&UserCode>, wrong: bool) -> Reply {
    let code = code.map(ToString::to_string);
    let next = code.as_ref().map(|code| own(config, &format!("/v1/auth/authorize?user_code={code}")));
    let action = own(config, "/v1/auth/device");
    let page = json!({"client": CLIENT_NAME, "code": code, "next": next, "action": action, "wrong": wrong});
    rendered(200, "device.html.j2", page)
}

/// The page after a device was decided on.
pub(super) fn settled(approved: bool) -> Reply {
    let (title, message) = if approved {
        ("Signed in", "Your device is signed in. You may close this page.")
    } else {
        ("Not signed in", "Nothing was granted. You may close this page.")
    };
    rendered(200, "told.html.j2", json!({"title": title, "message": message, "good": approved}))
}

/// The page of a refusal.
pub fn refusal(refusal: &Refusal) -> Reply {
    let title = match refusal.reason {
        Reason::NotSetUp => "Signing in is not set up",
        Reason::ServerError | Reason::ProviderFailed => "Something failed",
        Reason::SlowDown => "Too many tries",
        Reason::AccessDenied => "Not allowed",
        _ => "This sign-in cannot go on",
    };
    let page = json!({"title": title, "message": refusal.message, "good": false});
    rendered(refusal.reason.status(), "told.html.j2", page)
}

/// What every form of a sign-in carries.
fn form(config: &Config, browser: &Browser) -> Value {
    json!({
        "action": own(config, "/v1/auth/approve"),
        "sign_in": browser.state.reveal(),
        "form": browser.form_ticket().reveal(),
    })
}

/// Where the answer of a form may lead, in the words of a content security policy, which has none for IPv6.
fn origin(redirect_uri: &str) -> String {
    let origin = Url::parse(redirect_uri).map(|url| url.origin().ascii_serialization()).unwrap_or_default();
    if origin.contains('[') { " http:".to_owned() } else { format!(" {origin}") }
}

fn rendered(status: u16, name: &str, mut page: Value) -> Reply {
    page["style"] = STYLE.into();
    match text(name, &page) {
        Ok(text) => Reply::new(status, Payload::Page(text)),
        Err(error) => {
            tracing::error!(error.source = error, "a page was not made");
            Reply::new(500, Payload::Page("Something failed on our side. Try again.".to_owned()))
        }
    }
}

fn text(name: &str, page: &Value) -> Result<String, String> {
    let template = environment().get_template(name).map_err(|error| format!("{error:#}"))?;
    let values = minijinja::Value::deserialize(page).map_err(|error| error.to_string())?;
    template.render(values).map_err(|error| format!("{error:#}"))
}

fn environment() -> &'static Environment<'static> {
    static ENVIRONMENT: OnceLock<Environment<'static>> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        for (name, text) in TEMPLATES {
            // A template that does not parse is missed when it is asked for, and by the test below.
            let _ = environment.add_template(name, text);
        }
        environment
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_parses() {
        for (name, _) in TEMPLATES {
            assert!(environment().get_template(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn nothing_is_reflected_unescaped() {
        let told = refusal(&Refusal::new(Reason::InvalidRequest, "<script>alert(1)</script> \"' &"));
        let text = told.page();
        assert!(text.contains("&lt;script&gt;alert(1)&lt;&#x2f;script&gt;"), "{text}");
        assert!(!text.contains("<script"), "{text}");
    }

    #[test]
    fn a_form_leads_to_us_and_to_the_program_that_waits_and_nowhere_else() {
        assert!(policy("").contains("form-action 'self';"));
        assert_eq!(origin("http://127.0.0.1:8000/callback"), " http://127.0.0.1:8000");
        assert_eq!(origin("http://[::1]:8000/callback"), " http:");
    }
}
