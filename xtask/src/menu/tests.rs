use super::*;

#[test]
fn every_entry_of_the_menu_is_understood() {
    assert_eq!(choose(&[]), Ok(Choice::Help));
    assert_eq!(choose(&["help"]), Ok(Choice::Help));
    assert_eq!(choose(&["demo", "--json"]), Ok(Choice::Demo(vec!["--json".to_owned()])));
    assert_eq!(choose(&["test", "-p", "x"]), Ok(Choice::Test(vec!["-p".to_owned(), "x".to_owned()])));
    assert_eq!(choose(&["ci"]), Ok(Choice::Ci));
    assert_eq!(choose(&["codegen"]), Ok(Choice::Codegen { check: false }));
    assert_eq!(choose(&["codegen", "--check"]), Ok(Choice::Codegen { check: true }));
    assert_eq!(choose(&["nemesis", "--json"]), Ok(Choice::Nemesis(vec!["--json".to_owned()])));
    assert_eq!(choose(&["bench", "decide"]), Ok(Choice::Bench(vec!["decide".to_owned()])));
    assert_eq!(choose(&["sim", "--seed", "7"]), Ok(Choice::Sim(vec!["--seed".to_owned(), "7".to_owned()])));
    assert_eq!(choose(&["seeded", "--json"]), Ok(Choice::Seeded(vec!["--json".to_owned()])));
    let torture = Choice::Torture(vec!["--runs".to_owned(), "9".to_owned()]);
    assert_eq!(choose(&["torture", "--runs", "9"]), Ok(torture));
    let deep = |check, options: &[&str]| {
        Ok(Choice::Deep(check, options.iter().map(|option| (*option).to_owned()).collect()))
    };
    assert_eq!(choose(&["model", "--deep"]), deep(Deep::Model, &["--deep"]));
    assert_eq!(choose(&["loom"]), deep(Deep::Loom, &[]));
    assert_eq!(choose(&["miri", "-p", "x"]), deep(Deep::Miri, &["-p", "x"]));
    assert_eq!(choose(&["fuzz", "report"]), deep(Deep::Fuzz, &["report"]));
    assert_eq!(choose(&["mutants", "x"]), deep(Deep::Mutants, &["x"]));
}

#[test]
fn what_is_not_understood_is_named_with_a_way_out() {
    for words in [["demmo", ""].as_slice(), &["ci", "--fast"], &["loom", "--slow"], &["codegen", "--chekc"]] {
        let text = choose(words).unwrap_err();
        let wrong = words.last().filter(|word| !word.is_empty()).unwrap_or(&words[0]);
        assert!(text.contains(*wrong) && text.contains("cargo xtask help"), "{text}");
    }
}

#[test]
fn the_help_names_every_command() {
    for name in [
        "demo", "test", "ci", "codegen", "bench", "sim", "seeded", "model", "loom", "miri", "fuzz",
        "mutants", "nemesis", "help",
    ] {
        let listed = HELP.lines().any(|line| line.split_whitespace().next() == Some(name));
        assert!(listed, "`{name}` is missing in the help");
    }
}
