//! Size of files, and names that belong to one machine.

use std::{env, fs};

/// Limit: lines of a source file that was written by hand. Source: style.md rule 17.
const LINES_MAX: usize = 600;

/// Folders at the top of somebody's machine: `/NAME/...` must not stand in a file. Spelt without slashes, so
/// that this file passes its own test.
const MACHINE_FOLDERS: &[&str] = &["home", "Users", "root", "work", "workspace", "builds", "__w", "mnt"];

/// Words of package mirrors that belong to one network.
const MIRRORS: &[&str] = &["artifact\u{6f}ry", "jfr\u{6f}g", "sonat\u{79}pe", "codeartif\u{61}ct"];

/// Every file that git tracks or would add, with its text; files that are no text are left out.
fn texts() -> Vec<(String, String)> {
    let listed = super::output("git", &["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let names = listed.split('\0').filter(|name| !name.is_empty());
    names
        .filter_map(|name| {
            let text = fs::read_to_string(super::root().join(name)).ok()?;
            Some((name.to_owned(), text))
        })
        .collect()
}

fn is_generated(name: &str, text: &str) -> bool {
    name.contains("/generated/") || text.lines().take(3).any(|line| line.contains("@generated"))
}

/// Where `text` names a place of one machine, or nothing.
fn machine_path(text: &str, own: &[String]) -> Option<String> {
    let folders = MACHINE_FOLDERS.iter().map(|name| format!("/{name}/"));
    let all: Vec<String> = folders.chain(own.iter().map(|path| format!("{path}/"))).collect();
    for (number, line) in text.lines().enumerate() {
        for path in &all {
            let stands_alone = line.match_indices(path.as_str()).any(|(at, _)| {
                // Why: `agents/agent/root/x` and `$DIR/home/x` are relative and belong to nobody's machine.
                let before = line.get(..at).and_then(|before| before.chars().next_back());
                !before.is_some_and(|c| c.is_alphanumeric() || ".-_~}>*$)".contains(c))
            });
            if stands_alone {
                return Some(format!("line {}: `{path}`", number + 1));
            }
        }
    }
    None
}

/// Hosts of the package registries that this machine was told to use, from the usual variables.
fn registry_hosts(variables: impl Iterator<Item = (String, String)>) -> Vec<String> {
    let public = [
        "pypi.org",
        "files.pythonhosted.org",
        "crates.io",
        "index.crates.io",
        "static.crates.io",
        "github.com",
    ];
    let names_registry = |name: &str| {
        ["INDEX", "REGISTRY", "REGISTRIES"].iter().any(|word| name.to_uppercase().contains(word))
    };
    let values = variables.filter(|(name, _)| names_registry(name)).map(|(_, value)| value);
    let hosts = values.filter_map(|value| {
        let (_, rest) = value.split_once("://")?;
        let authority = rest.split(['/', '?']).next()?;
        let host = authority.rsplit('@').next()?.split(':').next()?;
        (host.contains('.') && !public.contains(&host)).then(|| host.to_owned())
    });
    hosts.collect()
}

#[test]
fn no_file_is_too_long() {
    let long: Vec<String> = texts()
        .iter()
        .filter(|(name, text)| name.ends_with(".rs") && !is_generated(name, text))
        .filter(|(_, text)| text.lines().count() > LINES_MAX)
        .map(|(name, text)| format!("{name}: {} lines, at most {LINES_MAX}; split it", text.lines().count()))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn no_file_names_a_path_of_one_machine() {
    let own = [Some(super::root()), env::home_dir()];
    let own: Vec<String> = own.iter().flatten().map(|path| path.display().to_string()).collect();
    let found: Vec<String> = texts()
        .iter()
        .filter_map(|(name, text)| Some(format!("{name}, {}", machine_path(text, &own)?)))
        .collect();
    assert!(found.is_empty(), "use a relative path or an example below /etc or /var:\n{}", found.join("\n"));
}

#[test]
fn no_file_names_a_private_registry() {
    let hosts = registry_hosts(env::vars());
    let mut found = Vec::new();
    for (name, text) in texts() {
        let lower = text.to_lowercase();
        let words = hosts.iter().map(String::as_str).chain(MIRRORS.iter().copied());
        found.extend(words.filter(|word| lower.contains(*word)).map(|word| format!("{name}: `{word}`")));
        if name == "Cargo.lock" {
            let public = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
            let other = text.lines().filter(|line| line.starts_with("source = ") && *line != public);
            found.extend(other.map(|line| format!("{name}: {line}")));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_checks_find_what_they_look_for() {
    let own = ["/opt/build-7".to_owned()];
    let path = |parts: &[&str]| parts.join("/");
    let bad =
        [path(&["", "home", "x"]), path(&["see \"", "root", "x\""]), path(&["", "opt", "build-7", "src"])];
    for text in bad {
        assert!(machine_path(&text, &own).is_some(), "{text}");
    }
    for text in ["agents/home/x", "$DIR/root/x", "/etc/rescind", "/home", "https://example.com/roots"] {
        assert_eq!(machine_path(text, &own), None, "{text}");
    }
    let variables =
        [("PIP_INDEX_URL", "https://u:p@mirror.corp.example:8443/simple"), ("EDITOR", "https://a.b")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(registry_hosts(variables.into_iter()), ["mirror.corp.example"]);
    assert!(is_generated("a/generated/b.rs", "") && !is_generated("a.rs", "fn main() {}"));
}
