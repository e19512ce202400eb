//! `personas pull`, `push`, `edit` and `diff`: personas as files, without loss and without overwriting others.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use clap::Args;
use etcetera::BaseStrategy;
use serde_json::Value;

use super::making::named;
use crate::{
    Result,
    api::Api,
    commands::{input, listing},
    document::{self, File},
    failure::{Class, Failure},
    screen::Screen,
};

const YAML: &str = "application/yaml";
/// What cannot be edited, and is left out where a file goes on top of whatever is there.
const FIXED: [&str; 10] = [
    "id",
    "object",
    "version",
    "workspace_id",
    "intent",
    "consistency",
    "lineage",
    "created_at",
    "updated_at",
    "published_at",
];

/// A persona to write to a file.
#[derive(Args)]
pub(crate) struct Pull {
    /// Its id or slug
    persona: String,
    /// The file [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// An older version
    #[arg(long, value_name = "NUMBER")]
    version: Option<u64>,
    /// Overwrite a file that has edits of its own
    #[arg(long)]
    force: bool,
}

/// A file to send back.
#[derive(Args)]
pub(crate) struct Push {
    /// The file, or - for standard input
    file: PathBuf,
    /// Make it this persona's document, not that of the one that it was pulled from
    #[arg(long)]
    persona: Option<String>,
    /// On top of whatever is there now
    #[arg(long)]
    force: bool,
}

/// A persona to edit.
#[derive(Args)]
pub(crate) struct Edit {
    /// Its id or slug
    persona: String,
}

/// What to compare.
#[derive(Args)]
pub(crate) struct Diff {
    /// A pulled file; or a persona's id or slug
    #[arg(value_name = "FILE|PERSONA")]
    what: String,
    /// Of a persona: the earlier version [default: the one before the later]
    #[arg(long, value_name = "NUMBER")]
    from: Option<u64>,
    /// Of a persona: the later version [default: the current one]
    #[arg(long, value_name = "NUMBER")]
    to: Option<u64>,
    /// End with 1 where something differs
    #[arg(long)]
    exit_code: bool,
}

/// The API's YAML of a persona, and its tag.
async fn yaml(api: &Api, persona: &str, version: Option<u64>) -> Result<(String, String)> {
    api.get(&["personas", persona]).query("version", version).header("Accept", YAML).text().await
}

impl Pull {
    /// Writes it. Comments of the file that is there stay; edits in it are not lost unasked.
    pub(crate) async fn run(self, api: &Api, screen: &Screen) -> Result<()> {
        let (yaml, etag) = yaml(api, &self.persona, self.version).await?;
        let path = self.output.as_deref().filter(|path| *path != Path::new("-"));
        let mine = match path {
            Some(path) if path.exists() && !self.force => Some(unedited(path, &yaml).await?),
            _ => None,
        };
        let text = document::file(&yaml, &etag, mine.as_deref())?;
        if screen.is_json() {
            screen.json_line(&input::yaml(&yaml, "The answer")?)?;
        }
        let Some(path) = path else { return if screen.is_json() { Ok(()) } else { screen.document(&text) } };
        fs::write(path, text).map_err(|error| Failure::file(path, "written", &error))?;
        screen.note(format_args!("Wrote {}.", path.display()));
        Ok(())
    }
}

/// The text of a file whose values are as they were pulled.
async fn unedited(path: &Path, yaml: &str) -> Result<String> {
    let name = path.display();
    let there = input::text(path).await?;
    let other = |why: &str| {
        Failure::usage(format!("{name} {why}.")).hint("choose another file, or overwrite it: --force")
    };
    let file =
        File::read(there, &name.to_string()).map_err(|_| other("is there already, and is no persona"))?;
    let pulled: Value = input::yaml(yaml, "The answer")?;
    if file.field("id") != pulled["id"].as_str().unwrap_or_default() {
        return Err(other("is there already, and is another persona's"));
    }
    if file.is_edited() {
        return Err(
            other("has edits that were not pushed").hint(format!("see them: persona personas diff {name}"))
        );
    }
    Ok(file.text)
}

impl Push {
    /// Sends it. What has changed there since it was pulled is shown, and stays.
    pub(crate) async fn run(self, api: &Api, screen: &Screen) -> Result<()> {
        let name = named(&self.file);
        let file = File::read(input::text(&self.file).await?, &name)?;
        let own = file.field("id").to_owned();
        let persona = self.persona.clone().unwrap_or(own);
        if persona.is_empty() {
            return Err(Failure::usage(format!("{name} does not say which persona it is: it has no id."))
                .hint("name it: --persona psn_…"));
        }
        let on_top = self.force || self.persona.is_some();
        let answered = send(api, &persona, &file, on_top).await;
        let (object, etag) = match answered {
            Err(failure) if failure.code.as_deref() == Some("request.precondition_failed") => {
                return Err(stale(api, &persona, &file, &name, failure).await);
            }
            answered => answered?,
        };
        let version = listing::cell(object.get("version"));
        if file.etag.as_deref() == Some(&etag) {
            return screen
                .done(&object, format!("Nothing to push: {persona} is at version {version} as in {name}."));
        }
        if self.file != Path::new("-") {
            let (yaml, etag) = yaml(api, &persona, object["version"].as_u64()).await?;
            let text = document::file(&yaml, &etag, Some(&file.text))?;
            fs::write(&self.file, text).map_err(|error| Failure::file(&self.file, "written", &error))?;
        }
        screen.done(&object, format!("Pushed {name}: {persona} is at version {version}."))
    }
}

/// Sends a file, on the condition of its tag unless it goes on top of what is there.
async fn send(api: &Api, persona: &str, file: &File, on_top: bool) -> Result<(Value, String)> {
    let call = api.put(&["personas", persona]);
    let call = if on_top {
        let mut value = file.value.clone();
        if let Some(fields) = value.as_object_mut() {
            fields.retain(|key, _| !FIXED.contains(&key.as_str()));
        }
        call.json(&value)
    } else {
        call.maybe_header("If-Match", file.etag.as_deref()).body(YAML, file.text.as_bytes())
    };
    let (text, etag) = call.text().await?;
    let object = serde_json::from_str(&text).map_err(|_| Failure::internal("the answer is no JSON"))?;
    Ok((object, etag))
}

/// The refusal of a file that is older than what is there, with what has changed there.
async fn stale(api: &Api, persona: &str, file: &File, name: &str, refusal: Failure) -> Failure {
    let base = file.value["version"].as_u64();
    let (Ok((before, _)), Ok((now, _))) = (yaml(api, persona, base).await, yaml(api, persona, None).await)
    else {
        return refusal;
    };
    let version = input::yaml::<Value>(&now, "The answer").map(|now| listing::cell(now.get("version")));
    let (version, base) =
        (version.unwrap_or_default(), base.map_or_else(String::new, |base| base.to_string()));
    let message = format!(
        "{name} is of version {base}, but {persona} is at version {version} now; nothing was pushed."
    );
    let names = (format!("version {base}, as pulled"), format!("version {version}, there now"));
    refusal
        .retold(message)
        .with_details(document::difference(&before, &now, (&names.0, &names.1)))
        .hint(format!("see your edits against it: persona personas diff {name}"))
        .hint(format!("put yours on top of it: persona personas push {name} --force"))
}

impl Edit {
    /// Opens it, and pushes what comes back; what is refused is opened again with the reason on top.
    pub(crate) async fn run(self, api: &Api, screen: &Screen) -> Result<()> {
        let (yaml_text, etag) = yaml(api, &self.persona, None).await?;
        let value: Value = input::yaml(&yaml_text, "The answer")?;
        let (id, slug) = (listing::cell(value.get("id")), listing::cell(value.get("slug")));
        let before = document::file(&yaml_text, &etag, remembered(&id).as_deref())?;
        let folder = tempfile::Builder::new().prefix("persona-").tempdir().map_err(Failure::internal)?;
        let path = folder.path().join(format!("{slug}.yml"));
        let mut offered = before;
        loop {
            let text = edited(&path, &offered)?;
            if text == offered {
                return Self::unchanged(screen, &value, folder, &path, &offered);
            }
            let own = without_complaints(&text);
            let failure = match Self::push(api, &id, own.clone(), &slug).await {
                Ok((object, version)) => {
                    remember(api, &id, object["version"].as_u64(), &own).await?;
                    let told = format!("Pushed: {id} is at version {version}.");
                    return screen.done(&object, told);
                }
                Err(failure) => failure,
            };
            let correctable = matches!(failure.class, Class::InvalidRequest | Class::Consistency)
                || failure.code.as_deref() == Some("persona.slug_taken");
            if !correctable {
                return Err(failure.hint(format!("your text is kept: {}", kept(folder, &path).display())));
            }
            offered = complaints(&failure) + &own;
        }
    }

    async fn push(api: &Api, id: &str, text: String, slug: &str) -> Result<(Value, String)> {
        let file = File::read(text, &format!("{slug}.yml"))?;
        match send(api, id, &file, false).await {
            Ok((object, _)) => {
                let version = listing::cell(object.get("version"));
                Ok((object, version))
            }
            Err(failure) if failure.code.as_deref() == Some("request.precondition_failed") => {
                Err(stale(api, id, &file, "your text", failure).await)
            }
            Err(failure) => Err(failure),
        }
    }

    fn unchanged(
        screen: &Screen,
        value: &Value,
        folder: tempfile::TempDir,
        path: &Path,
        offered: &str,
    ) -> Result<()> {
        if !offered.starts_with(COMPLAINT) {
            return screen.done(value, "Nothing changed.");
        }
        let complaint = offered.lines().next().unwrap_or_default().trim_start_matches(COMPLAINT).to_owned();
        Err(Failure::new(Class::InvalidRequest, format!("Nothing was pushed: {complaint}"))
            .hint(format!("your text is kept: {}", kept(folder, path).display())))
    }
}

/// How a line begins that says why a text was refused.
const COMPLAINT: &str = "# error: ";

fn complaints(failure: &Failure) -> String {
    let lines = std::iter::once(&failure.message).chain(&failure.details);
    lines.flat_map(|text| text.lines()).fold(String::new(), |text, line| text + COMPLAINT + line + "\n")
}

fn without_complaints(text: &str) -> String {
    text.lines()
        .filter(|line| !line.starts_with(COMPLAINT))
        .fold(String::new(), |text, line| text + line + "\n")
}

/// Lets the user's editor change a text.
fn edited(path: &Path, text: &str) -> Result<String> {
    fs::write(path, text).map_err(|error| Failure::file(path, "written", &error))?;
    let editor =
        ["VISUAL", "EDITOR"].iter().find_map(|name| std::env::var(name).ok().filter(|name| !name.is_empty()));
    let editor = editor.unwrap_or_else(|| if cfg!(windows) { "notepad".to_owned() } else { "vi".to_owned() });
    let words = shlex::split(&editor).filter(|words| !words.is_empty());
    let words =
        words.ok_or_else(|| Failure::usage(format!("$EDITOR is \"{editor}\", which is no command.")))?;
    let ended = Command::new(&words[0]).args(&words[1..]).arg(path).status();
    let ended =
        ended.map_err(|error| Failure::file(Path::new(&words[0]), "started", &error).hint("set $EDITOR"))?;
    if !ended.success() {
        return Err(Failure::usage(format!("{editor} ended with {ended}; nothing was pushed.")));
    }
    fs::read_to_string(path).map_err(|error| Failure::file(path, "read", &error))
}

/// Leaves the folder of a text where it is.
fn kept(folder: tempfile::TempDir, path: &Path) -> PathBuf {
    folder.keep().join(path.file_name().unwrap_or_default())
}

/// Where the last text of a persona lies, for its comments: the service keeps values alone.
fn memory(id: &str) -> Option<PathBuf> {
    let is_id =
        id.strip_prefix("psn_").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let strategy = etcetera::choose_base_strategy().ok().filter(|_| is_id)?;
    let folder = strategy.state_dir().unwrap_or_else(|| strategy.data_dir());
    Some(folder.join("persona").join("edits").join(format!("{id}.yml")))
}

fn remembered(id: &str) -> Option<String> {
    fs::read_to_string(memory(id)?).ok()
}

async fn remember(api: &Api, id: &str, version: Option<u64>, text: &str) -> Result<()> {
    let (yaml, etag) = yaml(api, id, version).await?;
    let text = document::file(&yaml, &etag, Some(text))?;
    memory(id).map_or(Ok(()), |path| crate::settings::write_privately(&path, text.as_bytes()))
}

/// Forgets the comments of a persona that is gone.
pub(super) fn forget(id: &str) {
    if let Some(path) = memory(id) {
        // It may never have been edited here.
        let _: io::Result<()> = fs::remove_file(path);
    }
}

impl Diff {
    /// Shows it.
    pub(crate) async fn run(self, api: &Api, screen: &Screen) -> Result<()> {
        let path = Path::new(&self.what);
        let (before, after, names) =
            if path.is_file() { Self::file(api, path).await? } else { self.versions(api).await? };
        let lines = document::difference(&before, &after, (&names.0, &names.1));
        if screen.is_json() {
            screen
                .json_line(&serde_json::json!({"identical": lines.is_empty(), "diff": lines.join("\n")}))?;
        } else {
            screen.text(&lines.iter().fold(String::new(), |text, line| text + line + "\n"))?;
        }
        if lines.is_empty() && !screen.is_json() {
            screen.note("Nothing differs.");
        }
        if self.exit_code && !lines.is_empty() { Err(Failure::differs()) } else { Ok(()) }
    }

    /// What a push would change, whatever a file's comments and layout.
    async fn file(api: &Api, path: &Path) -> Result<(String, String, (String, String))> {
        let name = path.display().to_string();
        let file = File::read(input::text(path).await?, &name)?;
        let (there, _) = yaml(api, file.field("id"), None).await?;
        let plain = |value: &Value| serde_saphyr::to_string(value).map_err(Failure::internal);
        let there: Value = input::yaml(&there, "The answer")?;
        let version = listing::cell(there.get("version"));
        Ok((plain(&there)?, plain(&file.value)?, (format!("version {version}, there now"), name)))
    }

    async fn versions(&self, api: &Api) -> Result<(String, String, (String, String))> {
        let (after, _) = yaml(api, &self.what, self.to).await?;
        let to = input::yaml::<Value>(&after, "The answer")?["version"].as_u64().unwrap_or(1);
        let from = self.from.unwrap_or(to.saturating_sub(1).max(1));
        let (before, _) = yaml(api, &self.what, Some(from)).await?;
        Ok((before, after, (format!("version {from}"), format!("version {to}"))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_edited_is_what_the_api_says() {
        let fields = crate::published("UpdatePersona");
        let is_fixed = |field: &Value| {
            field["description"].as_str().is_some_and(|text| text.starts_with("Not editable"))
        };
        let fields = fields.as_object().into_iter().flatten();
        let mut fixed: Vec<&str> =
            fields.filter(|(_, field)| is_fixed(field)).map(|(name, _)| name.as_str()).collect();
        let mut known = FIXED.to_vec();
        fixed.sort_unstable();
        known.sort_unstable();
        assert_eq!(known, fixed);
    }
}
