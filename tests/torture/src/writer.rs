//! The processes that write and look; their standard output is the acknowledgement.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::thread;
use std::time::Duration;

use tokio::time::Instant;

use rescind_agent::torture::{OpenedStore, TortureStore};
use rescind_controller::torture::{TortureEntry, TortureLog};
use rescind_core::key::KeyHasher;
use rescind_core::position::{EntryHash, Lane};
use rescind_core::view::View;

use crate::content::{Content, SignedEntry};

/// The secret of a store that is new.
const SECRET: [u8; 16] = [9; 16];
/// How often the state of a store is looked at.
const LOOK: Duration = Duration::from_micros(200);
/// Limit: a store that works takes a write within this time.
const USABLE_WAIT: Duration = Duration::from_secs(20);
/// Why an end: a process that nobody kills must not run for ever.
const WRITE_MAX: Duration = Duration::from_secs(60);
/// Pause after an append that was refused, before the same one is tried again.
const REFUSED_PAUSE: Duration = Duration::from_millis(5);

/// Says one line at once: after it the parent may rely on it.
fn say(line: &str) -> Result<(), String> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|error| error.to_string())
}

fn open_agent(folder: &Path, content: &Content) -> Result<OpenedStore, String> {
    TortureStore::open(folder.to_path_buf(), content.chain().clone(), SECRET)
        .map_err(|error| error.to_string())
}

/// Writes the states of an agent without end; says `durable N` for every one that is acknowledged, and `memory`
/// where there is no disk any more.
///
/// # Errors
/// The store's thread does not start.
pub fn write_agent(folder: &Path, seed: u64) -> Result<(), String> {
    let content = Content::new(seed)?;
    let OpenedStore { store, secret, restored } = open_agent(folder, &content)?;
    let (mut view, mut revision) = match restored {
        Some(restored) => (restored.view, restored.heads.deny.position.revision.0),
        None => (View::new(KeyHasher::new(secret)), 0),
    };
    let until = Instant::now() + WRITE_MAX;
    let (mut told, mut was_memory) = (0, false);
    while Instant::now() < until {
        let state = store.state();
        let durable = state.durable.deny.position.revision.0;
        if state.on_disk && durable > told {
            told = durable;
            say(&format!("durable {durable}"))?;
        }
        if !state.on_disk && state.trouble.is_some() && !was_memory {
            was_memory = true;
            say("memory")?;
        }
        revision += 1;
        content.apply(&mut view, revision)?;
        store.persist(content.published(&view, revision));
        thread::sleep(LOOK);
    }
    Ok(())
}

/// Opens the store of an agent; says `none`, `state N ok` or `state N wrong`, then `usable` or why not.
///
/// # Errors
/// The store's thread does not start, or does not answer.
pub fn check_agent(folder: &Path, seed: u64) -> Result<(), String> {
    let content = Content::new(seed)?;
    let OpenedStore { store, secret, restored } = open_agent(folder, &content)?;
    let (mut view, revision) = match restored {
        None => {
            say("none")?;
            (View::new(KeyHasher::new(secret)), 0)
        }
        Some(restored) => {
            let revision = restored.heads.deny.position.revision.0;
            let is_right = restored.heads == content.heads(revision)
                && restored.view.digest() == content.digest(revision)?
                && *restored.view.hasher() == KeyHasher::new(secret);
            say(&format!("state {revision} {}", if is_right { "ok" } else { "wrong" }))?;
            (restored.view, revision)
        }
    };
    let next = revision + 1;
    content.apply(&mut view, next)?;
    store.persist(content.published(&view, next));
    let until = Instant::now() + USABLE_WAIT;
    while Instant::now() < until {
        let state = store.state();
        if state.on_disk && state.durable == content.heads(next) {
            return say("usable");
        }
        if !state.on_disk && state.trouble.is_some() {
            return say(&format!("memory {}", state.trouble.unwrap_or_default()));
        }
        thread::sleep(LOOK);
    }
    say("unusable")
}

fn entry_of(signed: &SignedEntry) -> TortureEntry {
    TortureEntry { first: signed.first, last: signed.last, hash: signed.hash, bytes: signed.bytes.clone() }
}

/// Appends entries to the log without end; says `logged N` for every one that is durable, `refused` where one is
/// not (and tries the same again), `failed` where the log cannot be opened.
///
/// # Errors
/// The content cannot be made.
pub fn write_log(folder: &Path, seed: u64) -> Result<(), String> {
    let content = Content::new(seed)?;
    let log = match TortureLog::open(folder, content.chain()) {
        Ok(log) => log,
        Err(error) => return say(&format!("failed {error}")),
    };
    let head = match log.fold(&content.trust()?) {
        Ok(head) => head,
        Err(error) => return say(&format!("failed {error}")),
    };
    let (mut last, mut hash) = (head.revision, head.hash);
    let until = Instant::now() + WRITE_MAX;
    let mut was_refused = false;
    while Instant::now() < until {
        let entry = content.entry(last + 1, hash)?;
        let confirmed = (last > 0).then_some(last);
        match log.append(Lane::Deny, &entry_of(&entry), confirmed) {
            Ok(()) => {
                (last, hash) = (entry.last, entry.hash);
                say(&format!("logged {last}"))?;
            }
            Err(_) => {
                if !was_refused {
                    was_refused = true;
                    say("refused")?;
                }
                thread::sleep(REFUSED_PAUSE);
            }
        }
    }
    Ok(())
}

/// Opens and folds the log as a start of the controller does; says `head N ok`, `head N wrong` or `damaged`, and
/// for a good one `usable` where it takes the next entry.
///
/// # Errors
/// The content cannot be made.
pub fn check_log(folder: &Path, seed: u64) -> Result<(), String> {
    let content = Content::new(seed)?;
    let log = match TortureLog::open(folder, content.chain()) {
        Ok(log) => log,
        Err(error) => return say(&format!("damaged {error}")),
    };
    let head = match log.fold(&content.trust()?) {
        Ok(head) => head,
        Err(error) => return say(&format!("damaged {error}")),
    };
    let expected = match head.revision {
        0 => Some(EntryHash::default()),
        revision => content.hash_at(revision)?,
    };
    let is_right = expected == Some(head.hash) && head.digest == content.digest(head.revision)?;
    say(&format!("head {} {}", head.revision, if is_right { "ok" } else { "wrong" }))?;
    let entry = content.entry(head.revision + 1, head.hash)?;
    match log.append(Lane::Deny, &entry_of(&entry), None) {
        Ok(()) => say("usable"),
        Err(error) => say(&format!("unusable {error}")),
    }
}

/// Makes the folder durable before a run: the torture is about files, not about the folder that they are in.
///
/// # Errors
/// It cannot be made.
pub fn prepare(folder: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder)
        .and_then(|()| File::open(folder)?.sync_all())
        .map_err(|error| error.to_string())
}
