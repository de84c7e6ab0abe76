//! The command line.

#[cfg(test)]
mod tests;

/// Shown for `--help`.
pub(crate) const HELP: &str = "\
cargo xtask bench [--quick] [NAME...]

  decide     one decision and one whole check, beside Redis and HTTP introspection
  apply      changes per second into a large view, time until one change is visible, readers meanwhile
  memory     bytes per revocation and entitlement; an idle agent process
  propagate  accepted to denied on the last of many agents, beside a bare fan-out; directives accepted
  start      an agent with a large state, from its store and from a snapshot

  --quick    small sizes: shows that it works, the figures mean little

Without a name all of them run. Figures go to target/bench/<name>.json as well.";

/// One benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bench {
    Decide,
    Apply,
    Memory,
    Propagate,
    Start,
}

impl Bench {
    pub(crate) const ALL: [Self; 5] = [Self::Decide, Self::Apply, Self::Memory, Self::Propagate, Self::Start];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Decide => "decide",
            Self::Apply => "apply",
            Self::Memory => "memory",
            Self::Propagate => "propagate",
            Self::Start => "start",
        }
    }

    pub(crate) const fn about(self) -> &'static str {
        match self {
            Self::Decide => "one decision, beside the same question asked elsewhere",
            Self::Apply => "changes into a large view",
            Self::Memory => "what state costs, and an idle agent",
            Self::Propagate => "from an accepted revocation to the last deny",
            Self::Start => "an agent with a large state until its first fresh decision",
        }
    }
}

/// How large everything is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// As the targets are written.
    Full,
    /// A few seconds in all.
    Quick,
}

impl Scale {
    /// One of two values.
    pub(crate) fn pick<T>(self, full: T, quick: T) -> T {
        match self {
            Self::Full => full,
            Self::Quick => quick,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Quick => "quick",
        }
    }
}

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// In order, each once.
    pub(crate) benches: Vec<Bench>,
    pub(crate) scale: Scale,
}

/// Reads the command line; `None`: show the help.
///
/// # Errors
/// A text that names the word that is not understood.
pub(crate) fn read<'a>(words: impl Iterator<Item = &'a str>) -> Result<Option<Asked>, String> {
    let mut asked = Asked { benches: Vec::new(), scale: Scale::Full };
    for word in words {
        match word {
            "--help" | "-h" | "help" => return Ok(None),
            "--quick" => asked.scale = Scale::Quick,
            name => {
                let known = Bench::ALL.into_iter().find(|bench| bench.name() == name);
                let bench = known.ok_or_else(|| format!("there is no benchmark `{name}`\n\n{HELP}"))?;
                if !asked.benches.contains(&bench) {
                    asked.benches.push(bench);
                }
            }
        }
    }
    if asked.benches.is_empty() {
        asked.benches = Bench::ALL.to_vec();
    }
    Ok(Some(asked))
}
