//! The rules of Rescind, without I/O: what a record means, how changes fold into a [`view::View`], how a
//! request is decided, and the state machines of agent and controller.
//!
//! Deliberately absent: sockets, files, clocks, runtimes, serializers, signatures and randomness. Time, seeds
//! and verified values come in as arguments; effects go out as values.
//!
//! Start reading at [`target`] and [`record`] (the vocabulary), then [`view`] (the fold) and [`decide`] (the
//! decision), then [`agent`] and [`controller`] (who talks to whom, and when).

pub mod agent;
pub mod change;
pub mod controller;
pub mod decide;
pub mod digest;
pub mod entitlement;
pub mod entry;
pub mod epoch;
pub mod ids;
pub mod key;
pub mod lease;
pub mod position;
pub mod record;
pub mod report;
pub mod seeded;
pub mod snapshot;
pub mod target;
pub mod text;
pub mod time;
pub mod view;
