//! Emitters at work: access is given, taken away in every way, and given back, all through the real API, with
//! idempotency keys and retries, whatever breaks meanwhile.

use std::{collections::VecDeque, time::Duration};

use rescind_testkit::{KitError, KitResult};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{
    bound::Bound,
    clock::mono_ns,
    dice::Dice,
    evidence::Evidence,
    fleet::Fleet,
    people::{Person, Questions},
};

mod emitter;
mod story;

pub use emitter::{Deny, Emitter};

/// Limit: how long a directive may be unsettled after everything was healed (L4).
pub const SETTLE_WAIT: Duration = Duration::from_secs(30);

/// Questions of people whose story is over that are still asked, so that a resurrection shows (S6).
const REMEMBERED: usize = 5;

/// How busy the emitters are.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Stories at once.
    pub stories: usize,
    /// People in all; each ends with a change for good.
    pub people: usize,
}

/// The emitters, at work until [`Workload::finish`].
#[derive(Debug)]
pub struct Workload {
    stop: watch::Sender<bool>,
    stories: JoinSet<KitResult<Vec<Person>>>,
    evidence: Evidence,
}

impl Workload {
    /// Sets them to work.
    ///
    /// # Errors
    /// No tokens can be signed.
    pub fn start(fleet: &mut Fleet, pace: Pace) -> KitResult<Self> {
        let questions = Questions::open(fleet.questions())?;
        let mut people = Vec::new();
        for number in 0..pace.people {
            people.push(Person::new(fleet.realm.issuer(), &format!("p{number}"))?);
        }
        let (stop, stopped) = watch::channel(false);
        let mut stories = JoinSet::new();
        let share = pace.people.div_ceil(pace.stories.max(1)).max(1);
        for people in people.chunks(share) {
            let run = Run {
                emitter: Emitter::new(fleet.door.clone(), fleet.evidence.clone(), fleet.dice.fork()),
                questions: questions.clone(),
                bound: fleet.bound,
                stop: stopped.clone(),
                dice: fleet.dice.fork(),
            };
            stories.spawn(run.all(people.to_vec()));
        }
        Ok(Self { stop, stories, evidence: fleet.evidence.clone() })
    }

    /// Begins nothing new and waits until everything that was begun is settled; returns the people who have access
    /// now.
    ///
    /// # Errors
    /// A story could not go on.
    pub async fn finish(mut self, fleet: &mut Fleet) -> KitResult<Vec<Person>> {
        self.stop.send_replace(true);
        let end = Instant::now() + SETTLE_WAIT;
        let mut left = Vec::new();
        while Instant::now() < end {
            fleet.tick()?;
            match timeout(crate::fleet::TICK, self.stories.join_next()).await {
                Ok(None) => return Ok(left),
                Ok(Some(joined)) => {
                    left.extend(joined.map_err(KitError::because("join a story"))??);
                }
                Err(_) => {}
            }
        }
        let open = self.evidence.seen().open;
        let text =
            format!("{open} directives are neither accepted nor refused {SETTLE_WAIT:?} after the heal");
        self.evidence.broken("L4", mono_ns(), text);
        Ok(left)
    }
}

/// One line of stories, one person after the other.
struct Run {
    emitter: Emitter,
    questions: Questions,
    bound: Bound,
    stop: watch::Receiver<bool>,
    dice: Dice,
}

impl Run {
    /// Returns who has access at the end.
    async fn all(mut self, people: Vec<Person>) -> KitResult<Vec<Person>> {
        let mut remembered: VecDeque<Person> = VecDeque::new();
        for person in people {
            if self.stopping() {
                break;
            }
            self.questions.ask(&person)?;
            if self.story(&person).await == story::End::HasAccess {
                return Ok(vec![person]);
            }
            remembered.push_back(person);
            if remembered.len() > REMEMBERED
                && let Some(oldest) = remembered.pop_front()
            {
                self.questions.drop_question(&oldest)?;
            }
        }
        Ok(Vec::new())
    }

    fn stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// A pause of this many milliseconds; ends at once when nothing new is to begin.
    async fn pause(&mut self, low_ms: u64, high_ms: u64) {
        let span = Duration::from_millis(self.dice.within(low_ms, high_ms));
        let mut stop = self.stop.clone();
        tokio::select! {
            () = sleep(span) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }
}
