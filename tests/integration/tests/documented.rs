//! Every command printed in the documents is run here, in a realm of `rescind dev`, in the order of the page.
//!
//! A console block holds lines that begin with `$ `. Commands run in a shell, in the realm's directory, with the
//! binary of this build on the path. Commands of `cargo xtask` are compared with its menu instead: CI runs them.

#![expect(clippy::unwrap_used, reason = "a test ends where its own repository cannot be read")]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rescind_testkit::error::{KitError, KitResult};
use rescind_testkit::process::{Process, binary};
use rescind_testkit::server;
use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

/// Limit: no documented command may take longer.
const COMMAND_WITHIN: Duration = Duration::from_secs(40);
/// What the pages call the agent's socket.
const SOCKET_IN_PAGES: &str = "/run/rescind.sock";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The commands of a page's console blocks, in order.
fn commands(page: &str) -> Vec<String> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in page.lines() {
        match line.trim_start() {
            "```console" => inside = true,
            "```" => inside = false,
            line if inside => found.extend(line.strip_prefix("$ ").map(str::to_owned)),
            _ => {}
        }
    }
    found
}

/// Every page, whatever folder of `docs` it is in.
fn pages() -> Vec<PathBuf> {
    let mut folders = vec![root().join("docs")];
    let mut pages: Vec<PathBuf> =
        ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"].map(|name| root().join(name)).into();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

struct Realm {
    dir: PathBuf,
    url: String,
    socket: String,
    _dev: Process,
}

impl Realm {
    async fn start(folder: &Path) -> KitResult<Self> {
        let dir = folder.join("realm");
        let mut command = Command::new(binary()?);
        command.args(["dev", "--json", "--dir"]).arg(&dir).current_dir(folder);
        command.env("RESCIND_NATS_SERVER", server::find()?.path);
        let mut dev = Process::start(command)?;
        let line: Value = loop {
            let line = dev.line().await?;
            if let Ok(line) = serde_json::from_str::<Value>(&line) {
                break line;
            }
        };
        let text = |pointer: &str| {
            let found = line.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
            found.ok_or_else(|| KitError::new(format!("`rescind dev` did not say `{pointer}`: {line}")))
        };
        Ok(Self { dir, url: text("/controller/url")?, socket: text("/agent/socket")?, _dev: dev })
    }

    async fn run(&self, command: &str) -> KitResult<(Option<i32>, String)> {
        let binaries = binary()?.parent().map(Path::to_owned).unwrap_or_default();
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &command.replace(SOCKET_IN_PAGES, &self.socket)])
            .current_dir(&self.dir)
            .env("PATH", format!("{}:{path}", binaries.display()))
            .env("RESCIND_CONFIG", self.dir.join("cli.toml"))
            .env("RESCIND_URL", &self.url)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = timeout(COMMAND_WITHIN, shell.output()).await;
        let output = output
            .map_err(|_| KitError::new(format!("`{command}` did not end within {COMMAND_WITHIN:?}")))?
            .map_err(KitError::because("run a shell"))?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.code(), String::from_utf8_lossy(&said).into_owned()))
    }
}

/// Whether a command did what the page says: a deny is an answer (what the pages ask about is denied in a new
/// realm), and so is a board of a record that an agent has not applied yet.
fn is_answer(command: &str, code: Option<i32>) -> bool {
    let word = command.strip_prefix("rescind ").and_then(|rest| rest.split_whitespace().next());
    match word {
        Some("decide" | "explain") => matches!(code, Some(0 | 4)),
        Some("board") => matches!(code, Some(0 | 3)),
        Some(_) | None => code == Some(0),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_command_runs() -> KitResult {
    let folder = tempfile::tempdir().map_err(KitError::because("make a directory"))?;
    let realm = Realm::start(folder.path()).await?;
    let (_, token) =
        realm.run(&format!("rescind dev-token --sub u-doc --dir {}", realm.dir.display())).await?;
    std::fs::write(realm.dir.join("token"), token).map_err(KitError::because("write a token"))?;
    let mut failed = Vec::new();
    let mut ran = 0;
    for page in pages() {
        let text = std::fs::read_to_string(&page).map_err(KitError::because("read a page"))?;
        for command in commands(&text).into_iter().filter(|command| !command.starts_with("cargo ")) {
            ran += 1;
            let (code, said) = realm.run(&command).await?;
            if !is_answer(&command, code) {
                failed.push(format!("{}: `{command}` ended with {code:?}: {said}", page.display()));
            }
        }
    }
    assert!(ran > 20, "only {ran} commands were found");
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}

#[test]
fn every_documented_cargo_command_is_on_the_menu() {
    let menu = std::fs::read_to_string(root().join("xtask/src/menu.rs")).unwrap();
    let mut found = 0;
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for command in commands(&text).iter().filter_map(|command| command.strip_prefix("cargo xtask ")) {
            let word = command.split_whitespace().next().unwrap_or_default();
            assert!(
                menu.contains(&format!("(\"{word}\"")),
                "`cargo xtask {word}` of {} is not there",
                page.display()
            );
            found += 1;
        }
    }
    assert!(found >= 4, "only {found} commands were found");
}
