//! Writes the crate's YAML as JSON, so that no function links a YAML reader for files that never change.

use std::{env, error::Error, fs, path::Path};

const FILES: [&str; 4] = [
    "pipelines/default.yaml",
    "pipelines/fast.yaml",
    "pipelines/strict-audit.yaml",
    "moderation/policy.yaml",
];

fn main() -> Result<(), Box<dyn Error>> {
    let out = env::var("OUT_DIR")?;
    for file in FILES {
        println!("cargo::rerun-if-changed={file}");
        let yaml = fs::read_to_string(file)?;
        let value: serde_json::Value =
            serde_saphyr::from_str(&yaml).map_err(|error| format!("{file}: {error}"))?;
        let name = Path::new(file).with_extension("json");
        let name = name.file_name().ok_or("a file without a name")?;
        fs::write(Path::new(&out).join(name), value.to_string())?;
    }
    Ok(())
}
