use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use super::value::Moment;
use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split(' '))
}

fn kind(line: &str) -> ErrorKind {
    parse(line).unwrap_err().kind()
}

#[test]
fn the_definitions_are_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_has_a_long_help_and_an_about() {
    for command in Cli::command().get_subcommands() {
        assert!(command.get_about().is_some(), "{}", command.get_name());
        let bare = ["agents"];
        assert!(
            bare.contains(&command.get_name()) || command.get_after_long_help().is_some(),
            "{}",
            command.get_name()
        );
    }
}

#[test]
fn wait_takes_a_value_or_none() {
    let wait = |line: &str| match parse(line).unwrap().command {
        Command::Kill(args) => args.origin.wait,
        other => unreachable!("{other:?}"),
    };
    assert_eq!(wait("rescind kill tenant:a"), None);
    assert_eq!(wait("rescind kill tenant:a --wait"), Some(Duration::from_secs(30)));
    assert_eq!(wait("rescind kill tenant:a --wait 5s"), Some(Duration::from_secs(5)));
    assert_eq!(wait("rescind kill --wait=5s tenant:a"), Some(Duration::from_secs(5)));
    let error = parse("rescind kill --wait tenant:a").unwrap_err().to_string();
    assert!(error.contains("target goes before"), "{error}");
}

#[test]
fn lift_says_which_way() {
    let lift = |line: &str| match parse(line).unwrap().command {
        Command::Lift(args) => (args.with_cutoff, args.resume),
        other => unreachable!("{other:?}"),
    };
    assert_eq!(lift("rescind lift deny-1-2"), (None, false));
    assert_eq!(lift("rescind lift deny-1-2 --with-cutoff"), (Some(Moment::Now), false));
    assert_eq!(lift("rescind lift deny-1-2 --with-cutoff=-1h"), (Some(Moment::FromNow(-3600)), false));
    assert_eq!(lift("rescind lift deny-1-2 --resume"), (None, true));
    assert_eq!(kind("rescind lift deny-1-2 --resume --with-cutoff"), ErrorKind::ArgumentConflict);
}

#[test]
fn a_grant_needs_exactly_one_right() {
    assert!(parse("rescind grant role:r --action a --resource /x").is_ok());
    assert!(parse("rescind grant role:r --member-of group:g").is_ok());
    assert_eq!(kind("rescind grant role:r"), ErrorKind::MissingRequiredArgument);
    assert_eq!(kind("rescind grant role:r --action a"), ErrorKind::MissingRequiredArgument);
    assert_eq!(
        kind("rescind grant role:r --action a --resource /x --member-of role:q"),
        ErrorKind::ArgumentConflict
    );
}

#[test]
fn blank_and_wildcard_targets_are_usage_errors() {
    for target in ["user:", "user:*", "u1", "session:s1", "tenant:a*", "token:sha256:xy", ""] {
        let error = Cli::try_parse_from(["rescind", "hold", target]).unwrap_err();
        assert_eq!((error.kind(), error.exit_code()), (ErrorKind::ValueValidation, 2), "{target}");
    }
}

#[test]
fn init_is_a_realm_or_an_agent() {
    match parse("rescind init d --agent a:b").unwrap().command {
        Command::Init(args) => {
            assert!(args.command.is_none());
            assert_eq!(args.new.agents, ["a:b"]);
        }
        other => unreachable!("{other:?}"),
    }
    match parse("rescind init add-agent d a:b").unwrap().command {
        Command::Init(InitArgs { command: Some(InitCommand::AddAgent(args)), .. }) => {
            assert_eq!(args.agent, "a:b")
        }
        other => unreachable!("{other:?}"),
    }
    assert_eq!(kind("rescind init"), ErrorKind::MissingRequiredArgument);
}

#[test]
fn json_is_taken_everywhere() {
    assert!(parse("rescind --json status").unwrap().json);
    assert!(parse("rescind status --json").unwrap().json);
}
