//! Explores the protocol and its variants and prints what was found. Run by `cargo xtask model [--deep]`.

#![expect(clippy::print_stdout, reason = "a program for people: what it prints is its purpose")]

use std::process::ExitCode;

use rescind_model::{Bound, REACHED, Rule, exhaust, refute};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let good = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => {
            let whole = all(&Bound::TESTED);
            rules() && whole
        }
        ["--deep"] => all(&Bound::DEEP),
        ["--steps", name] => steps(name),
        ["--bound", text] => bound_of(text).map_or_else(usage, |bound| whole("as asked", bound).is_some()),
        _ => usage(),
    };
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn usage() -> bool {
    println!(
        "usage: cargo xtask model [--deep | --steps RULE | --bound AGENTS,DENY,GRANT,EPOCHS]\n\
         without options: the bounds of the tests, then every rule left out once"
    );
    false
}

/// `2,1,1,3`: how far a person wants to look.
fn bound_of(text: &str) -> Option<Bound> {
    let numbers: Option<Vec<u8>> = text.split(',').map(|number| number.parse().ok()).collect();
    match numbers?.as_slice() {
        [agents, deny, grant, epochs] => Some(Bound {
            agents: usize::from(*agents).clamp(1, 2),
            changes: [*deny, *grant],
            epochs: *epochs,
            ..Bound::SINGLE
        }),
        _ => None,
    }
}

fn all(bounds: &[(&str, Bound)]) -> bool {
    let results: Vec<_> = bounds.iter().map(|(name, bound)| whole(name, *bound)).collect();
    let reached: Vec<_> = results.iter().flatten().flatten().collect();
    let missed: Vec<_> = REACHED.iter().filter(|name| !reached.contains(name)).collect();
    missed.iter().for_each(|name| println!("  NOT {name}: the model does too little"));
    missed.is_empty() && results.iter().all(Option::is_some)
}

/// What was reached; `None`: a guarantee falls.
fn whole(name: &str, bound: Bound) -> Option<Vec<&'static str>> {
    let Bound { agents, changes: [deny, grant], epochs, .. } = bound;
    println!("the whole protocol, {name} ({agents} agents, {deny}+{grant} changes, {epochs} epochs)");
    let explored = exhaust(bound);
    println!(
        "  {} states ({} made), depth {}, {:.1} s",
        explored.states,
        explored.made,
        explored.depth,
        explored.took.as_secs_f64()
    );
    for (name, steps) in &explored.broken {
        println!("  BROKEN: {name}, after {} steps:", steps.len());
        steps.iter().for_each(|step| println!("    {step:?}"));
    }
    explored.broken.is_empty().then_some(explored.reached)
}

fn rules() -> bool {
    println!("\nwith one rule left out{:>31}{:>11}{:>10}", "steps", "states", "falls");
    let mut good = true;
    for rule in Rule::ALL {
        let name = rule.without();
        match refute(rule) {
            Some(refuted) => {
                println!(
                    "  {name:<45}{:>6}{:>11}{:>10?}",
                    refuted.steps.len(),
                    refuted.states,
                    rule.guards()
                );
            }
            None => {
                println!("  {name:<45}  NOT REFUTED: {:?} holds without it", rule.guards());
                good = false;
            }
        }
    }
    println!("\nthe steps of one: cargo xtask model --steps {:?}", Rule::AnchorBeforeAsking);
    good
}

/// The counterexample of one rule, step by step.
fn steps(name: &str) -> bool {
    let Some(rule) = Rule::ALL.into_iter().find(|rule| format!("{rule:?}") == name) else {
        println!("there is no rule `{name}`; one of {:?}", Rule::ALL);
        return false;
    };
    let Some(refuted) = refute(rule) else {
        println!("nothing falls without {rule:?}");
        return false;
    };
    println!("{}: {} falls", rule.without(), rule.guards().name());
    refuted.steps.iter().for_each(|step| println!("  {step:?}"));
    true
}
