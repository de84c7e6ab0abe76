//! An idle agent as a process of its own: resident memory and processor time.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use rescind_testkit::{TestRealm, process::BINARY_VARIABLE};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::runtime::Runtime;
use tokio::time::{sleep, timeout};

use crate::Outcome;
use crate::data::SERVICE;
use crate::machine::kib;
use crate::measure::Stopwatch;
use crate::report::{Figure, Sheet};

/// Limit: resident megabytes of an agent that has nothing to hold.
const RESIDENT_MB_MAX: f64 = 15.0;
/// Limit: per cent of one core.
const IDLE_PERCENT_MAX: f64 = 0.5;

/// How long it settles, and how long it is watched.
const SETTLE: Duration = Duration::from_secs(10);
const WATCH: Duration = Duration::from_secs(20);

const AGENT: &str = "payments-1";

pub(super) fn run(sheet: &mut Sheet) -> Outcome {
    let Some(binary) = binary() else {
        sheet.note(
            "no figures for an idle agent: build `rescind` first, cargo build --release -p rescind-cli",
        );
        return Ok(());
    };
    Runtime::new()?.block_on(measure(binary, sheet))
}

async fn measure(binary: PathBuf, sheet: &mut Sheet) -> Outcome {
    let builder = TestRealm::builder().lease(Duration::from_secs(5)).agent(AGENT, SERVICE).agents_later();
    let realm = builder.start().await?;
    let mut agent = tokio::process::Command::new(binary)
        .args(["agent", "--json", "--config"])
        .arg(realm.files().agent_toml(AGENT))
        .arg("--socket")
        .arg(realm.files().dir().join("agent.sock"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let stdout = agent.stdout.take().ok_or("the agent has no output")?;
    let line = timeout(SETTLE, BufReader::new(stdout).lines().next_line()).await??;
    if !line.is_some_and(|line| line.contains("\"socket\"")) {
        return Err("the agent did not say that it serves".into());
    }
    let pid = agent.id().ok_or("the agent has ended")?;
    sleep(SETTLE).await;
    let (before, watch) = (busy_ticks(pid)?, Stopwatch::start());
    sleep(WATCH).await;
    let busy = busy_ticks(pid)? - before;
    let percent = 100.0 * busy as f64 / ticks_per_second() as f64 / watch.seconds();
    let status = format!("/proc/{pid}/status");
    let mb = |name: &str| kib(&status, name) as f64 * 1024.0 / 1e6;
    sheet.add(Figure::value("idle agent process, resident", "MB", mb("VmRSS")).at_most(RESIDENT_MB_MAX));
    sheet.add(Figure::value("  of which its own (the rest is the program file)", "MB", mb("RssAnon")));
    sheet.add(Figure::value("idle agent process, share of one core", "%", percent).at_most(IDLE_PERCENT_MAX));
    Ok(())
}

/// The binary beside this program, made current where cargo runs us.
fn binary() -> Option<PathBuf> {
    if let Some(path) = env::var_os(BINARY_VARIABLE) {
        return Some(path.into());
    }
    if let Some(cargo) = env::var_os("CARGO") {
        println!("   building rescind ...");
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--release", "-p", "rescind-cli"]).stdin(Stdio::null());
        // Why ignored: an older binary, or none, is reported below.
        build.status().ok();
    }
    let path = env::current_exe().ok()?.with_file_name("rescind");
    path.is_file().then_some(path)
}

/// Clock ticks that a process has used so far. Spec: proc(5), fields 14 and 15 of `stat`.
fn busy_ticks(pid: u32) -> Outcome<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, after_name) = text.rsplit_once(')').ok_or("an unexpected /proc/PID/stat")?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let field = |number: usize| -> Outcome<u64> {
        // Why 3: the first field after the name is the third.
        Ok(fields.get(number - 3).ok_or("a short /proc/PID/stat")?.parse()?)
    };
    Ok(field(14)? + field(15)?)
}

fn ticks_per_second() -> u64 {
    rustix::param::clock_ticks_per_second()
}
