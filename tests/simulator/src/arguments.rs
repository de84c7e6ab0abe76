//! The command line.

use rescind_simulator::Options;

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) first: u64,
    pub(crate) count: u64,
    pub(crate) options: Options,
    pub(crate) trace: bool,
    pub(crate) json: bool,
    pub(crate) broken_max: usize,
    /// Break one rule after the other and see which seed finds it.
    #[cfg(feature = "seeded-bugs")]
    pub(crate) bugs: bool,
}

const USAGE: &str =
    "options: --seeds N | --seed S, --agents N, --storm SECONDS, --trace, --json, --keep-going";

impl Arguments {
    pub(crate) fn read(words: &[String]) -> Result<Self, String> {
        let mut arguments = Self {
            first: 0,
            count: 100,
            options: Options::default(),
            trace: false,
            json: false,
            broken_max: 1,
            #[cfg(feature = "seeded-bugs")]
            bugs: false,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut number = || {
                let text = words.next().ok_or_else(|| format!("`{word}` needs a number; {USAGE}"))?;
                text.parse::<u64>().map_err(|_| format!("`{text}` is no number; {USAGE}"))
            };
            match word.as_str() {
                "--seeds" => arguments.count = number()?,
                "--seed" => (arguments.first, arguments.count) = (number()?, 1),
                "--from" => arguments.first = number()?,
                "--agents" => {
                    let agents = u32::try_from(number()?).ok().filter(|agents| *agents > 0);
                    arguments.options.agents = Some(agents.ok_or("at least one agent is needed")?);
                }
                "--storm" => arguments.options.storm_s = number()?.max(1),
                "--trace" => arguments.trace = true,
                "--json" => arguments.json = true,
                #[cfg(feature = "seeded-bugs")]
                "--bugs" => arguments.bugs = true,
                "--keep-going" => arguments.broken_max = usize::MAX,
                _ => return Err(format!("there is no `{word}`; {USAGE}")),
            }
        }
        Ok(arguments)
    }

    pub(crate) fn seeds(&self) -> core::ops::Range<u64> {
        self.first..self.first.saturating_add(self.count)
    }

    /// The command that repeats one seed.
    pub(crate) fn again(&self, seed: u64) -> String {
        let agents = self.options.agents.map_or(String::new(), |agents| format!(" --agents {agents}"));
        let default = Options::default().storm_s;
        let storm = if self.options.storm_s == default {
            String::new()
        } else {
            format!(" --storm {}", self.options.storm_s)
        };
        format!("cargo xtask sim --seed {seed}{agents}{storm} --trace")
    }
}
