//! The configuration file: profiles, each an address, a workspace and the name of a key. Keys themselves lie elsewhere.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use etcetera::BaseStrategy;
use serde::{Deserialize, Serialize};
use toml_edit::{DocumentMut, Item, Table, value};
use url::{Host, Url};

use crate::{Result, failure::Failure, secrets::Place};

/// Where the service is, unless something else is said.
pub(crate) const BASE_URL: &str = "https://api.persona.dev";
/// The profile of those who need but one.
pub(crate) const DEFAULT_PROFILE: &str = "default";

/// One way to be signed in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Profile {
    /// The service that its key belongs to.
    pub base_url: Option<String>,
    /// The workspace that its key belongs to.
    pub workspace: Option<String>,
    /// The key's id.
    pub key_id: Option<String>,
    /// Who signed in.
    pub email: Option<String>,
    /// When the key ends, RFC 3339.
    pub expires_at: Option<String>,
    /// Where the key lies.
    pub secret: Option<Place>,
}

/// The file as it was read.
pub(crate) struct Settings {
    folder: PathBuf,
    document: DocumentMut,
}

impl Settings {
    /// Reads `persona/config.toml` below the user's folder of configurations, if it is there.
    pub(crate) fn read() -> Result<Self> {
        let folder =
            etcetera::choose_base_strategy().map_err(Failure::internal)?.config_dir().join("persona");
        let path = folder.join("config.toml");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Failure::file(&path, "read", &error)),
        };
        let document = text.parse::<DocumentMut>().map_err(|error| {
            let why = error.to_string();
            Failure::usage(format!("{} is not TOML that can be read.", path.display()))
                .with_details(why.lines().map(|line| format!("  {line}")))
        })?;
        Ok(Self { folder, document })
    }

    /// The folder of the file, where keys may lie too.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The profile that is used where none is named.
    pub(crate) fn default_profile(&self) -> &str {
        self.document.get("profile").and_then(Item::as_str).unwrap_or(DEFAULT_PROFILE)
    }

    /// A profile by its name.
    pub(crate) fn profile(&self, name: &str) -> Result<Option<Profile>> {
        let Some(item) = self.document.get("profiles").and_then(|profiles| profiles.get(name)) else {
            return Ok(None);
        };
        let table = item.as_table().cloned().unwrap_or_default();
        let profile = toml_edit::de::from_document(DocumentMut::from(table));
        profile.map(Some).map_err(|error| {
            let why = error.to_string();
            let why = why.lines().last().unwrap_or_default();
            Failure::usage(format!("The profile \"{name}\" of {} is wrong: {why}.", self.path().display()))
        })
    }

    /// Writes a profile; whatever else is in the file, comments too, stays.
    pub(crate) fn keep(&mut self, name: &str, profile: &Profile) -> Result<()> {
        let fields = toml_edit::ser::to_document(profile).map_err(Failure::internal)?;
        let profiles = self.document.entry("profiles").or_insert_with(|| {
            let mut table = Table::new();
            table.set_implicit(true);
            Item::Table(table)
        });
        profiles[name] = Item::Table(fields.as_table().clone());
        if name != DEFAULT_PROFILE
            && self.document.get("profile").is_none()
            && self.profile(DEFAULT_PROFILE)?.is_none()
        {
            self.document["profile"] = value(name);
        }
        self.write()
    }

    /// Removes a profile.
    pub(crate) fn forget(&mut self, name: &str) -> Result<()> {
        if let Some(profiles) = self.document.get_mut("profiles").and_then(Item::as_table_mut) {
            profiles.remove(name);
        }
        if self.document.get("profile").and_then(Item::as_str) == Some(name) {
            self.document.remove("profile");
        }
        self.write()
    }

    fn path(&self) -> PathBuf {
        self.folder.join("config.toml")
    }

    fn write(&self) -> Result<()> {
        write_privately(&self.path(), self.document.to_string().as_bytes())
    }
}

/// Writes a file that its owner alone may read, whole or not at all.
pub(crate) fn write_privately(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let written = private_folder(folder).and_then(|()| {
        // Temporary files are made with mode 0600.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        file.persist(path).map_err(io::Error::from)
    });
    written.map(drop).map_err(|error| Failure::file(path, "written", &error))
}

#[cfg(unix)]
fn private_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(not(unix))]
fn private_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}

/// The address of the service from what somebody typed. A key must not travel in the clear, unless it stays on this machine.
pub(crate) fn base_url(text: &str) -> Result<Url> {
    let wrong = |why: &str| {
        Failure::usage(format!("The base URL \"{text}\" {why}.")).hint(format!("for example {BASE_URL}"))
    };
    let mut url = Url::parse(text.trim()).map_err(|error| wrong(&format!("is none: {error}")))?;
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => return Err(wrong("would send the key in the clear: use https")),
        _ => return Err(wrong("is neither https nor http")),
    }
    url.set_query(None);
    url.set_fragment(None);
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix("/v1").unwrap_or(path).to_owned();
    url.set_path(&path);
    Ok(url)
}

/// Whether the address is of this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// An address as it is told and compared: without a slash at its end.
pub(crate) fn told(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

    use super::*;

    #[test]
    fn a_base_url_is_taken_as_people_write_it() {
        for (typed, meant) in [
            ("https://api.persona.dev", "https://api.persona.dev"),
            ("https://api.persona.dev/", "https://api.persona.dev"),
            ("https://api.persona.dev/v1", "https://api.persona.dev"),
            (
                "https://x.execute-api.eu-west-1.amazonaws.com/live/v1/",
                "https://x.execute-api.eu-west-1.amazonaws.com/live",
            ),
            (" http://127.0.0.1:9000 ", "http://127.0.0.1:9000"),
            ("http://localhost:9000/v1?x=1", "http://localhost:9000"),
        ] {
            assert_eq!(told(&base_url(typed).unwrap()), meant);
        }
    }

    #[test]
    fn a_key_never_travels_in_the_clear() {
        for typed in ["http://api.persona.dev", "http://10.0.0.7", "ftp://127.0.0.1", "api.persona.dev", ""] {
            assert!(base_url(typed).is_err(), "{typed}");
        }
    }
}
