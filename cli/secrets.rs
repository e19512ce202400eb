//! Where keys lie: in the keyring of the operating system, or in a file that its owner alone may read.

use std::{collections::BTreeMap, fs, io, path::PathBuf};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::{
    Result,
    failure::{Class, Failure},
    settings::{self, Settings},
};

/// What the keyring's entries belong to.
const SERVICE: &str = "persona";
/// Set to `1`, the keyring is left alone.
const NO_KEYRING: &str = "PERSONA_NO_KEYRING";

/// Where a key lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Place {
    /// The operating system's keyring.
    Keyring,
    /// `credentials.toml` beside the configuration, with mode 0600.
    File,
}

/// The two places.
pub(crate) struct Secrets {
    file: PathBuf,
}

impl Secrets {
    /// Beside these settings.
    pub(crate) fn beside(settings: &Settings) -> Self {
        Self { file: settings.folder().join("credentials.toml") }
    }

    /// Keeps a profile's key: in the keyring if there is one, else in the file.
    pub(crate) fn keep(&self, profile: &str, key: &SecretString) -> Result<Place> {
        if wants_keyring()
            && in_keyring(profile).and_then(|entry| entry.set_password(key.expose_secret())).is_ok()
        {
            self.forget_in_file(profile)?;
            return Ok(Place::Keyring);
        }
        let mut keys = self.in_file()?;
        keys.insert(profile.to_owned(), key.expose_secret().to_owned());
        self.write(&keys)?;
        Ok(Place::File)
    }

    /// A profile's key from where it was put.
    pub(crate) fn read(&self, profile: &str, place: Place) -> Result<Option<SecretString>> {
        match place {
            Place::File => Ok(self.in_file()?.remove(profile).map(SecretString::from)),
            Place::Keyring => match in_keyring(profile).and_then(|entry| entry.get_password()) {
                Ok(key) => Ok(Some(SecretString::from(key))),
                Err(keyring::Error::NoEntry) => Ok(None),
                Err(error) => Err(Failure::new(
                    Class::Authentication,
                    format!(
                        "The key of profile \"{profile}\" lies in the keyring, which cannot be read: {error}."
                    ),
                )
                .hint("unlock the keyring, or set PERSONA_API_KEY")),
            },
        }
    }

    /// Removes a profile's key.
    pub(crate) fn forget(&self, profile: &str, place: Place) -> Result<()> {
        match place {
            Place::File => self.forget_in_file(profile),
            Place::Keyring => match in_keyring(profile).and_then(|entry| entry.delete_credential()) {
                Ok(()) | Err(keyring::Error::NoEntry) => Ok(()),
                Err(error) => Err(Failure::usage(format!("The keyring did not forget the key: {error}."))),
            },
        }
    }

    fn forget_in_file(&self, profile: &str) -> Result<()> {
        let mut keys = self.in_file()?;
        if keys.remove(profile).is_some() { self.write(&keys) } else { Ok(()) }
    }

    fn in_file(&self) -> Result<BTreeMap<String, String>> {
        let text = match fs::read_to_string(&self.file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(Failure::file(&self.file, "read", &error)),
        };
        self.is_private()?;
        toml_edit::de::from_str(&text)
            .map_err(|_| Failure::usage(format!("{} is not a list of keys.", self.file.display())))
    }

    fn write(&self, keys: &BTreeMap<String, String>) -> Result<()> {
        let text = toml_edit::ser::to_string(keys).map_err(Failure::internal)?;
        settings::write_privately(&self.file, text.as_bytes())
    }

    /// Keys that others can read are not used: whoever sees that must know it.
    #[cfg(unix)]
    fn is_private(&self) -> Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let metadata = fs::metadata(&self.file).map_err(|error| Failure::file(&self.file, "read", &error))?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode.trailing_zeros() >= 6 {
            return Ok(());
        }
        let path = self.file.display();
        Err(Failure::new(
            Class::Authentication,
            format!("Others may read {path} (mode {mode:04o}), which holds keys."),
        )
        .hint(format!("chmod 600 {path}; and if others have read it, persona auth logout and login")))
    }

    #[cfg(not(unix))]
    fn is_private(&self) -> Result<()> {
        Ok(())
    }
}

fn wants_keyring() -> bool {
    std::env::var_os(NO_KEYRING).is_none_or(|value| value.is_empty() || value == "0")
}

fn in_keyring(profile: &str) -> keyring::Result<keyring::Entry> {
    keyring::Entry::new(SERVICE, profile)
}
