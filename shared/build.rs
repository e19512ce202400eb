//! Writes the crate's YAML as JSON, so that no function links a YAML reader for files that never change.

use std::{env, error::Error, fs, path::Path};

const FILES: [&str; 6] = [
    "pipelines/default.yaml",
    "pipelines/fast.yaml",
    "pipelines/strict-audit.yaml",
    "pipelines/refine.yaml",
    "moderation/policy.yaml",
    "card/phrases.yaml",
];

const LANGUAGES: &str = "drift/languages";

fn main() -> Result<(), Box<dyn Error>> {
    let out = env::var("OUT_DIR")?;
    for file in FILES {
        println!("cargo::rerun-if-changed={file}");
        let value = yaml(Path::new(file))?;
        let name = Path::new(file).with_extension("json");
        let name = name.file_name().ok_or("a file without a name")?;
        fs::write(Path::new(&out).join(name), value.to_string())?;
    }
    fs::write(Path::new(&out).join("languages.json"), languages()?.to_string())?;
    Ok(())
}

/// The languages of drift, by the names of their files.
fn languages() -> Result<serde_json::Value, Box<dyn Error>> {
    println!("cargo::rerun-if-changed={LANGUAGES}");
    let mut languages = serde_json::Map::new();
    for entry in fs::read_dir(LANGUAGES)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let code = path.file_stem().ok_or("a file without a name")?.to_string_lossy().into_owned();
        languages.insert(code, yaml(&path)?);
    }
    Ok(languages.into())
}

fn yaml(path: &Path) -> Result<serde_json::Value, Box<dyn Error>> {
    let read = serde_saphyr::from_str(&fs::read_to_string(path)?);
    Ok(read.map_err(|error| format!("{}: {error}", path.display()))?)
}
