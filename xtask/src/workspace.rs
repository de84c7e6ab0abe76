//! Where things are, as cargo sees it.

use std::{ffi::OsString, path::PathBuf, process::Command};

use serde_json::Value;

/// Folders of this repository.
#[derive(Debug, Clone)]
pub(crate) struct Workspace {
    /// The repository's root.
    pub(crate) root: PathBuf,
    /// Where cargo builds.
    pub(crate) target: PathBuf,
}

impl Workspace {
    /// Asks cargo.
    ///
    /// # Errors
    /// A text with what cargo said.
    pub(crate) fn find() -> Result<Self, String> {
        let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        // Why at run time: the compiled tool must not remember the machine that built it.
        let here = std::env::var_os("CARGO_MANIFEST_DIR").map(|dir| PathBuf::from(dir).join("Cargo.toml"));
        let manifest = here.map(|path| [OsString::from("--manifest-path"), path.into_os_string()]);
        let output = Command::new(program)
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .args(manifest.into_iter().flatten())
            .output()
            .map_err(|error| format!("cannot run cargo metadata ({error}); install Rust with rustup"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("cargo metadata failed, correct the manifest first: {}", said.trim()));
        }
        let value: Value = serde_json::from_slice(&output.stdout)
            .map_err(|error| format!("cannot read the answer of cargo metadata: {error}"))?;
        let folder = |key: &str| {
            let text = value.get(key).and_then(Value::as_str);
            text.map(PathBuf::from).ok_or_else(|| format!("cargo metadata does not name `{key}`"))
        };
        Ok(Self { root: folder("workspace_root")?, target: folder("target_directory")? })
    }
}
