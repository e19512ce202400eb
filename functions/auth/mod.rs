//! `/v1/auth`: how people get a key by signing in at the deployment's OpenID Connect provider (docs/SIGNING_IN.md).
pub mod approval;
pub mod approve;
pub mod authorize;
pub mod callback;
pub mod device;
pub mod device_page;
pub mod metadata;
pub mod page;
pub mod revoke;
pub mod token;

mod cookie;

use persona::auth::{Config, browser::Standing};
use url::Url;

use crate::serve::Reply;

/// Somewhere else to go on with GET, whatever this was.
fn redirect(status: u16, url: &Url) -> Reply {
    Reply::new(status, crate::serve::Payload::Empty).with_header("location", url.as_str())
}

/// A page of ours; browsers name the stage of the gateway in paths, which the configured address has.
fn own(config: &Config, path: &str) -> String {
    format!("{}{path}", config.base_url)
}

/// Where a sign-in stands, as a page or as the way back.
fn shown(config: &Config, browser: &persona::auth::browser::Browser, standing: &Standing) -> Reply {
    match standing {
        Standing::Deciding(deciding) => page::approval(config, browser, deciding),
        Standing::CodeWanted { wrong } => page::code(config, browser, *wrong),
        Standing::Settled(approved) => page::settled(*approved),
        Standing::Back(url) => {
            let mut url = url.clone();
            // Which server answers, for clients that know several (RFC 9207).
            url.query_pairs_mut().append_pair("iss", &config.base_url);
            redirect(302, &url)
        }
    }
}
