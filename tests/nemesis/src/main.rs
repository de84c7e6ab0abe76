//! `rescind-nemesis [--minutes M] [--mix NAME] [--seed S] [--lease DURATION] [--cluster] [--out DIR] [--json]`;
//! `cargo xtask nemesis` builds and runs it.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people: its table is its purpose"
)]

use std::{path::PathBuf, process::ExitCode, time::Duration};

use rescind_nemesis::{
    fleet::Plan,
    mix::{self, Mix},
    report::Report,
};

/// How to call it.
const USAGE: &str = "usage: rescind-nemesis [--minutes M] [--mix NAME] [--seed S] [--lease-ms MS] [--cluster] \
                     [--out DIR] [--json]";

/// Agents of the mix `crowd`.
const CROWD: usize = 1_000;

struct Asked {
    mix: Mix,
    json: bool,
}

fn main() -> ExitCode {
    let asked = match read(std::env::args().skip(1)) {
        Ok(asked) => asked,
        Err(text) => {
            eprintln!("nemesis: {text}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("nemesis: start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    eprintln!(
        "nemesis: seed {}, mix {}, {} s",
        asked.mix.plan.seed,
        asked.mix.name,
        asked.mix.lasts.as_secs()
    );
    let begun = tokio::time::Instant::now();
    let mut say = |text: &str| eprintln!("nemesis: {:>4} s  {text}", begun.elapsed().as_secs());
    if asked.mix.name == "crowd" {
        return runtime.block_on(crowd(asked.mix.plan.lease));
    }
    match runtime.block_on(mix::run(&asked.mix, &mut say)) {
        Ok(report) => show(&asked, &report),
        Err(error) => {
            eprintln!("nemesis: {error}; look at {}", asked.mix.plan.out.display());
            ExitCode::FAILURE
        }
    }
}

/// A thousand agents reconnect at once.
async fn crowd(lease: Duration) -> ExitCode {
    match rescind_nemesis::crowd::run(CROWD, lease).await {
        Ok(crowd) => {
            println!(
                "{} agents, outage {} ms: all have a new lease {} ms after it, {} lost theirs meanwhile",
                crowd.agents,
                crowd.outage.as_millis(),
                crowd.all_renewed_after.as_millis(),
                crowd.expired,
            );
            if crowd.expired == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("nemesis: {error}");
            ExitCode::FAILURE
        }
    }
}

fn show(asked: &Asked, report: &Report) -> ExitCode {
    if asked.json {
        println!("{}", report.json());
    } else {
        println!("{}", report.table());
    }
    let out = &asked.mix.plan.out;
    if report.holds() {
        // Why ignored: what stays behind is harmless.
        std::fs::remove_dir_all(out).ok();
        return ExitCode::SUCCESS;
    }
    eprintln!("nemesis: broken; trace and logs are in {}", out.display());
    ExitCode::FAILURE
}

fn read(words: impl Iterator<Item = String>) -> Result<Asked, String> {
    let mut words = words;
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let seed = u64::from(seed.subsec_nanos());
    let (mut minutes, mut lease_ms, mut json, mut cluster) = (5.0_f64, 5_000_u64, false, false);
    let (mut name, mut seed, mut out) = ("all".to_owned(), seed, None);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("`{word}` needs a value"));
        let wrong = |text: &str| format!("`{text}` is no number");
        match word.as_str() {
            "--minutes" => minutes = value().and_then(|text| text.parse().map_err(|_| wrong(&text)))?,
            "--seed" => seed = value().and_then(|text| text.parse().map_err(|_| wrong(&text)))?,
            "--lease-ms" => lease_ms = value().and_then(|text| text.parse().map_err(|_| wrong(&text)))?,
            "--mix" => name = value()?,
            "--out" => out = Some(PathBuf::from(value()?)),
            "--cluster" => cluster = true,
            "--json" => json = true,
            _ => return Err(format!("`{word}` is not understood")),
        }
    }
    let cluster = cluster || name == "cluster";
    let out = out.unwrap_or_else(|| rescind_nemesis::fleet::temporary_out(&format!("run-{seed}")));
    let lasts =
        Duration::try_from_secs_f64(minutes * 60.0).map_err(|_| "`--minutes` is too small".to_owned())?;
    let brokers = if cluster { 3 } else { 1 };
    let plan = Plan { lease: Duration::from_millis(lease_ms), agents: 3, brokers, controllers: 1, out, seed };
    Ok(Asked { mix: Mix { name, lasts, plan }, json })
}
