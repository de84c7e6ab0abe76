//! The broker loses, forgets or damages what it had acknowledged.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rescind_testkit::{KitError, KitResult};
use tokio::task::block_in_place;

use super::{Fault, Fits, Heal, Injected, Part, Work};
use crate::{fleet::Fleet, proc::tool};

/// All of them.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "broker_store_rolled_back",
        uses: &[Part::Broker],
        fits: Fits::Single,
        lasts_ms: (1_500, 4_000),
        inject: broker_store_rolled_back,
    },
    Fault {
        name: "stream_deleted",
        uses: &[Part::Broker],
        fits: Fits::Any,
        lasts_ms: (500, 1_000),
        inject: stream_deleted,
    },
    Fault {
        name: "broker_store_bit_flipped",
        uses: &[Part::Broker],
        fits: Fits::Single,
        lasts_ms: (500, 1_000),
        inject: broker_store_bit_flipped,
    },
    Fault {
        name: "broker_store_truncated",
        uses: &[Part::Broker],
        fits: Fits::Single,
        lasts_ms: (500, 1_000),
        inject: broker_store_truncated,
    },
];

/// The broker is copied, goes on for a while, and then somebody restores the copy.
pub fn broker_store_rolled_back(fleet: &mut Fleet, _: u64) -> Work<'_, Injected> {
    Box::pin(async move {
        let store = fleet.brokers.store(0)?;
        let copy = store.with_extension("copy");
        if copy.exists() {
            fs::remove_dir_all(&copy).map_err(KitError::because("remove an old copy"))?;
        }
        fleet.brokers.with(0, "stop the broker", rescind_natsd::NatsProcess::stop)?;
        copy_folder(&store, &copy)?;
        fleet.brokers.with(0, "restart the broker", rescind_natsd::NatsProcess::restart)?;
        Ok(Injected::Open(Heal::new(move |fleet| {
            Box::pin(async move {
                fleet.brokers.with(0, "kill the broker", rescind_natsd::NatsProcess::kill9)?;
                empty_folder(&store).map_err(KitError::because("remove the newer store"))?;
                copy_folder(&copy, &store)?;
                fs::remove_dir_all(&copy).map_err(KitError::because("remove the copy"))?;
                fleet.brokers.with(0, "restart the broker", rescind_natsd::NatsProcess::restart)
            })
        })))
    })
}

/// An administrator deletes the stream under a running controller.
pub fn stream_deleted(fleet: &mut Fleet, _: u64) -> Work<'_, Injected> {
    Box::pin(async move {
        let subjects = fleet.realm.subjects()?;
        let address = fleet.brokers.addresses(0).first().copied();
        let address = address.ok_or_else(|| KitError::new("there is no broker"))?;
        let mut hostile = rescind_testkit::RawClient::connect(address, "mallory", "let-me-in").await?;
        hostile.publish(&format!("$JS.API.STREAM.DELETE.{}", subjects.stream()), b"").await?;
        Ok(Injected::Open(Heal::new(|_| Box::pin(async { Ok(()) }))))
    })
}

/// One bit of the newest block file flips while the broker is down.
pub fn broker_store_bit_flipped(fleet: &mut Fleet, turn: u64) -> Work<'_, Injected> {
    damaged(fleet, move |block| {
        let mut bytes = fs::read(block).map_err(KitError::because("read a block file"))?;
        let at = usize::try_from(turn % (bytes.len().max(1) as u64)).unwrap_or(0);
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1 << (turn % 8);
        }
        fs::write(block, bytes).map_err(KitError::because("write a block file"))
    })
}

/// The newest block file loses its second half while the broker is down.
pub fn broker_store_truncated(fleet: &mut Fleet, _: u64) -> Work<'_, Injected> {
    damaged(fleet, |block| {
        let file = fs::OpenOptions::new().write(true).open(block);
        let file = file.map_err(KitError::because("open a block file"))?;
        let length = file.metadata().map_err(KitError::because("size a block file"))?.len();
        file.set_len(length / 2).map_err(KitError::because("truncate a block file"))
    })
}

fn damaged(
    fleet: &mut Fleet,
    damage: impl FnOnce(&Path) -> KitResult + Send + 'static,
) -> Work<'_, Injected> {
    Box::pin(async move {
        let store = fleet.brokers.store(0)?;
        fleet.brokers.with(0, "kill the broker", rescind_natsd::NatsProcess::kill9)?;
        let block = newest_block(&store)?;
        damage(&block)?;
        // Why: without its index a server reads the blocks again and meets the damage.
        fs::remove_file(block.with_file_name("index.db")).ok();
        Ok(Injected::Open(Heal::new(|fleet| {
            Box::pin(async move {
                fleet.brokers.with(0, "restart the broker", rescind_natsd::NatsProcess::restart)
            })
        })))
    })
}

/// The block file of the log that was written last.
fn newest_block(store: &Path) -> KitResult<PathBuf> {
    let mut found = Vec::new();
    walk(store, &mut found).map_err(KitError::because("look into the broker's store"))?;
    let is_log = |path: &PathBuf| {
        path.extension().is_some_and(|ending| ending == "blk")
            && path.components().any(|part| part.as_os_str().to_string_lossy().starts_with("RESCIND_"))
            && !path.components().any(|part| part.as_os_str().to_string_lossy().starts_with("OBJ_"))
    };
    let logs = found.into_iter().filter(is_log);
    let newest = logs.max_by_key(|path| fs::metadata(path).and_then(|meta| meta.modified()).ok());
    newest.ok_or_else(|| KitError::new(format!("find a block file below {}", store.display())))
}

fn walk(folder: &Path, into: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, into)?;
        } else {
            into.push(path);
        }
    }
    Ok(())
}

/// Why not the folder itself: it can be a mount point by now.
fn empty_folder(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
    }
    Ok(())
}

/// Copies what is in `from` into `to`, which is made where it is missing.
fn copy_folder(from: &Path, to: &Path) -> KitResult {
    fs::create_dir_all(to).map_err(KitError::because("make a folder for a copy"))?;
    let (from, to) = (format!("{}/.", from.display()), to.display().to_string());
    block_in_place(|| tool("cp", &["-a", &from, &to])).map(drop)
}
