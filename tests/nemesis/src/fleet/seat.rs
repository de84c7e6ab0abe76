//! One process of the fleet with what belongs to it: its link to the broker, its files, and how it is started.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use rescind_testkit::{KitError, KitResult};
use rustix::process::Signal;
use tokio::time::Instant;

use crate::{
    proc::{Proc, Tail},
    proxy::Link,
};

/// Pause before a process that ended by itself is started again, as a supervisor does it.
const RESTART_PAUSE: Duration = Duration::from_millis(300);

/// What runs in a seat.
#[derive(Debug, Clone)]
pub enum Program {
    /// `rescind controller`.
    Controller {
        /// The binary.
        binary: PathBuf,
    },
    /// `rescind-nemesis-agent`.
    Agent {
        /// The binary.
        binary: PathBuf,
        /// Where its questions are.
        questions: PathBuf,
    },
}

/// A process with its surroundings. Whoever holds it decides when it runs.
#[derive(Debug)]
pub struct Seat {
    /// Its name in reports.
    pub name: String,
    /// Its way to the broker.
    pub link: Link,
    /// Its configuration file.
    pub config: PathBuf,
    /// Where it keeps its data.
    pub data: PathBuf,
    /// Words before the program, for example `ip netns exec NAME`.
    pub prefix: Vec<String>,
    /// More environment.
    pub environment: Vec<(String, String)>,
    program: Program,
    out: PathBuf,
    log: PathBuf,
    process: Option<Proc>,
    started: Option<Instant>,
    tail: Tail,
}

/// How a process ended without being asked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Which.
    pub name: String,
    /// The end of its log.
    pub said: String,
}

impl Seat {
    /// A seat whose process does not run yet. `out` is where logs and answers are kept.
    #[must_use]
    pub fn new(name: &str, program: Program, config: PathBuf, data: PathBuf, link: Link, out: &Path) -> Self {
        let answers = out.join(format!("{name}.out"));
        Self {
            name: name.to_owned(),
            link,
            config,
            data,
            prefix: Vec::new(),
            environment: Vec::new(),
            program,
            log: out.join(format!("{name}.log")),
            tail: Tail::new(answers.clone()),
            out: answers,
            process: None,
            started: None,
        }
    }

    /// Starts the process; it need not be ready when this returns.
    ///
    /// # Errors
    /// It runs already or cannot be started.
    pub fn start(&mut self) -> KitResult {
        if self.process.is_some() {
            return Err(KitError::new(format!("start {}, which runs", self.name)));
        }
        let (command, out) = match &self.program {
            Program::Controller { binary } => {
                let mut command = self.command(binary);
                command.args(["controller", "--json", "--config"]).arg(&self.config);
                (command, self.out.clone())
            }
            Program::Agent { binary, questions } => {
                let mut command = self.command(binary);
                command.arg(&self.config).arg(questions).arg(&self.out);
                (command, self.log.clone())
            }
        };
        self.process = Some(Proc::start(command, &out, &self.log)?);
        self.started = Some(Instant::now());
        Ok(())
    }

    fn command(&self, binary: &Path) -> Command {
        let mut command = match self.prefix.split_first() {
            None => Command::new(binary),
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(binary);
                command
            }
        };
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs another build of the same program from the next start on.
    pub fn use_binary(&mut self, path: PathBuf) {
        match &mut self.program {
            Program::Controller { binary } | Program::Agent { binary, .. } => *binary = path,
        }
    }

    /// The process.
    ///
    /// # Errors
    /// It does not run.
    pub fn process(&mut self) -> KitResult<&mut Proc> {
        let name = self.name.clone();
        self.process.as_mut().ok_or_else(|| KitError::new(format!("{name} does not run")))
    }

    /// Whether somebody wants it to run.
    #[must_use]
    pub const fn is_wanted(&self) -> bool {
        self.process.is_some()
    }

    /// Kills it; it stays away until [`Seat::start`].
    ///
    /// # Errors
    /// It does not run or does not go away.
    pub fn kill9(&mut self) -> KitResult {
        self.process()?.kill9()?;
        self.process = None;
        Ok(())
    }

    /// Ends it in order; it stays away until [`Seat::start`].
    ///
    /// # Errors
    /// It does not end.
    pub async fn stop(&mut self) -> KitResult {
        self.process()?.stop().await?;
        self.process = None;
        Ok(())
    }

    /// Freezes it.
    ///
    /// # Errors
    /// It does not run.
    pub fn pause(&mut self) -> KitResult {
        self.process()?.signal(Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// It does not run.
    pub fn resume(&mut self) -> KitResult {
        self.process()?.signal(Signal::CONT)
    }

    /// Starts it again where it ended without being asked to, after a short pause; says how it ended.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn supervise(&mut self) -> KitResult<Option<Ended>> {
        let Some(process) = self.process.as_mut() else { return Ok(None) };
        if process.is_running() || self.started.is_some_and(|at| at.elapsed() < RESTART_PAUSE) {
            return Ok(None);
        }
        let ended = Ended { name: self.name.clone(), said: process.log_tail() };
        self.process = None;
        self.start()?;
        Ok(Some(ended))
    }

    /// New lines of what it writes down.
    pub fn lines(&mut self) -> Vec<String> {
        self.tail.lines()
    }

    /// Replaces a part of its configuration; holds from the next start on.
    ///
    /// # Errors
    /// The part is not there.
    pub fn reconfigure(&self, from: &str, to: &str) -> KitResult {
        let text = fs::read_to_string(&self.config)
            .map_err(KitError::because(format!("read {}", self.config.display())))?;
        if !text.contains(from) {
            return Err(KitError::new(format!("find `{from}` in {}", self.config.display())));
        }
        fs::write(&self.config, text.replace(from, to))
            .map_err(KitError::because(format!("write {}", self.config.display())))
    }

    /// The line of its configuration that names the broker.
    ///
    /// # Errors
    /// There is none.
    pub fn broker_line(&self) -> KitResult<String> {
        let text = fs::read_to_string(&self.config)
            .map_err(KitError::because(format!("read {}", self.config.display())))?;
        let line = text.lines().find(|line| line.starts_with("url = \"nats://"));
        line.map(str::to_owned)
            .ok_or_else(|| KitError::new(format!("find the broker in {}", self.config.display())))
    }
}
