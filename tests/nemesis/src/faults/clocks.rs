//! The wall clock of one process jumps, by libfaketime. Its programs are built so that they read their clocks through
//! the C library (feature `faked-clocks`); without that build, or without the library, these faults are skipped.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rescind_testkit::{KitError, KitResult, process};

use super::{Fault, Fits, Heal, Injected, Part, Work};
use crate::fleet::{Fleet, Seat};

/// All of them.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "agent_wall_clock_jumps",
        uses: &[Part::Agents],
        fits: Fits::Any,
        lasts_ms: (2_000, 6_000),
        inject: agent_wall_clock_jumps,
    },
    Fault {
        name: "controller_wall_clock_jumps",
        uses: &[Part::Controller],
        fits: Fits::Any,
        lasts_ms: (2_000, 6_000),
        inject: controller_wall_clock_jumps,
    },
];

/// Where the binaries of the special build are; beside the usual ones unless named here.
pub const FOLDER_VARIABLE: &str = "RESCIND_FAKED_CLOCKS";

/// Where Linux distributions put the library.
const LIBRARIES: &[&str] = &[
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];

/// The offsets that a clock jumps to, in the library's words.
const JUMPS: &[&str] = &["+1h", "-1h", "+2s", "-300s"];

/// An agent's wall clock jumps, and back.
pub fn agent_wall_clock_jumps(fleet: &mut Fleet, turn: u64) -> Work<'_, Injected> {
    Box::pin(async move {
        let out = fleet.plan().out.clone();
        let seat = fleet.agent(turn)?;
        if let Err(reason) = prepare(seat, "rescind-nemesis-agent", &out).await? {
            return Ok(Injected::Skipped(reason));
        }
        let file = offsets(&out, &seat.name);
        jump(&file, turn)?;
        Ok(open(file))
    })
}

/// The controller's wall clock jumps, and back.
pub fn controller_wall_clock_jumps(fleet: &mut Fleet, turn: u64) -> Work<'_, Injected> {
    Box::pin(async move {
        let out = fleet.plan().out.clone();
        let seat = fleet.controller(0)?;
        if let Err(reason) = prepare(seat, "rescind", &out).await? {
            return Ok(Injected::Skipped(reason));
        }
        let file = offsets(&out, &seat.name);
        jump(&file, turn)?;
        Ok(open(file))
    })
}

fn open(file: PathBuf) -> Injected {
    Injected::Open(Heal::new(move |_| Box::pin(async move { write(&file, "+0") })))
}

fn offsets(out: &Path, name: &str) -> PathBuf {
    out.join(format!("{name}.faketimerc"))
}

fn jump(file: &Path, turn: u64) -> KitResult {
    let number = usize::try_from(turn % JUMPS.len() as u64).unwrap_or(0);
    write(file, JUMPS.get(number).copied().unwrap_or("+1h"))
}

fn write(file: &Path, offset: &str) -> KitResult {
    fs::write(file, format!("{offset}\n")).map_err(KitError::because("write a clock's offset"))
}

/// Restarts a process under the library, once; the reason where that is not possible.
async fn prepare(seat: &mut Seat, program: &str, out: &Path) -> KitResult<Result<(), String>> {
    if seat.environment.iter().any(|(name, _)| name == "LD_PRELOAD") {
        return Ok(Ok(()));
    }
    let Some(library) = LIBRARIES.iter().find(|path| Path::new(path).is_file()) else {
        return Ok(Err("libfaketime is not installed (Debian: `apt install faketime`)".to_owned()));
    };
    let folder = match std::env::var_os(FOLDER_VARIABLE) {
        Some(folder) => PathBuf::from(folder),
        None => process::binary()?.with_file_name("faked-clocks"),
    };
    let binary = folder.join(program);
    if !binary.is_file() {
        let text =
            format!("no `{program}` that reads its clocks through the C library; set {FOLDER_VARIABLE}");
        return Ok(Err(text));
    }
    let file = offsets(out, &seat.name);
    write(&file, "+0")?;
    let environment = [
        ("LD_PRELOAD", (*library).to_owned()),
        ("FAKETIME_TIMESTAMP_FILE", file.display().to_string()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ];
    seat.environment.extend(environment.map(|(name, value)| (name.to_owned(), value)));
    seat.stop().await?;
    seat.use_binary(binary);
    seat.start()?;
    Ok(Ok(()))
}
