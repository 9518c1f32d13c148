//! The repository's own rules, which no other tool checks.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    outcome::{Context, Outcome, ensure},
    shell,
};

/// Characters of a line of comment.
const LINE_CHARACTERS_MAX: usize = 140;

/// The crates, each of which may use only those below it. The reasons are in ARCHITECTURE.md.
const CRATES_FROM_THE_TOP: [&str; 12] = [
    "xtask",
    "canvass",
    "canvass-lambda",
    "canvass-sim",
    "canvass-server",
    "canvass-export",
    "canvass-notify",
    "canvass-dynamodb",
    "canvass-store",
    "canvass-ledger",
    "canvass-domain",
    "canvass-counting",
];

/// The commands that a newcomer needs, which the README must show.
const COMMANDS: [&str; 2] = ["cargo run --release -- serve", "cargo xtask test"];

/// Fails with every breach of the rules.
pub(crate) fn tidy() -> Outcome {
    let root = shell::root();
    let mut breaches = Vec::new();
    for path in tracked_files(&root)? {
        // A file that was removed but not yet committed, or that is no text, has no lines to check.
        let Ok(text) = std::fs::read_to_string(root.join(&path)) else { continue };
        check_file(&path, &text, &mut breaches);
    }
    breaches.extend(breaches_of_layers(&root)?);
    ensure(breaches.is_empty(), || {
        format!("the repository's rules are broken:\n  {}", breaches.join("\n  "))
    })?;
    println!("tidy: all rules hold");
    Ok(())
}

fn tracked_files(root: &Path) -> Outcome<Vec<PathBuf>> {
    let output =
        Command::new("git").args(["ls-files", "-z"]).current_dir(root).output().context("git ls-files")?;
    ensure(output.status.success(), || "git ls-files failed".into())?;
    let names = String::from_utf8(output.stdout)?;
    Ok(names.split_terminator('\0').map(PathBuf::from).collect())
}

/// Text that no file may hold, and why. It is put together here, so that this file does not hold it either.
fn forbidden_everywhere() -> [(&'static str, &'static str); 4] {
    [
        (concat!("/wo", "rk/"), "names a path of one machine"),
        (concat!("/ro", "ot/"), "names a path of one machine"),
        (concat!("/ho", "me/"), "names a path of one machine"),
        (concat!("sha", "red/"), "names a folder that does not come with the project"),
    ]
}

/// Text that no code may hold, and why.
fn forbidden_in_code() -> [(&'static str, &'static str); 5] {
    [
        (concat!("#[al", "low"), "use #[expect(…, reason = …)], which tells when it is no longer needed"),
        (concat!("TO", "DO"), "unfinished"),
        (concat!("FIX", "ME"), "unfinished"),
        (concat!("to", "do!("), "unfinished"),
        (concat!("unimple", "mented!("), "unfinished"),
    ]
}

/// Puts what is wrong with a file behind what is wrong already.
fn check_file(path: &Path, text: &str, breaches: &mut Vec<String>) {
    let is_code = path.extension().is_some_and(|extension| extension == "rs");
    if is_code && !text.starts_with("//!") {
        breaches.push(format!("{}:1: does not open with //! and why it exists", path.display()));
    }
    if path == Path::new("README.md") {
        let missing = COMMANDS.iter().filter(|command| !text.contains(**command));
        breaches.extend(missing.map(|command| format!("README.md: does not show `{command}`")));
    }
    for (index, line) in text.lines().enumerate() {
        let mut breach = |why: &str| breaches.push(format!("{}:{}: {why}", path.display(), index + 1));
        // Where the elections may lie; what uses them goes without.
        let line = line.replace(concat!("../sha", "red/elections"), "");
        forbidden_everywhere()
            .iter()
            .filter(|(text, _)| line.contains(text))
            .for_each(|(_, why)| breach(why));
        if is_code {
            forbidden_in_code()
                .iter()
                .filter(|(text, _)| line.contains(text))
                .for_each(|(_, why)| breach(why));
            // The formatter breaks code, and leaves alone what is no code.
            if line.trim_start().starts_with("//") && line.chars().count() > LINE_CHARACTERS_MAX {
                breach(&format!("more than {LINE_CHARACTERS_MAX} characters"));
            }
        }
    }
}

/// Dependencies between the project's crates that do not point down.
fn breaches_of_layers(root: &Path) -> Outcome<Vec<String>> {
    let output = Command::new("cargo")
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root)
        .output()
        .context("cargo metadata")?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    let mut uses = BTreeMap::new();
    for package in metadata["packages"].as_array().ok_or("cargo metadata names no packages")? {
        let name = package["name"].as_str().unwrap_or_default().to_owned();
        let dependencies = package["dependencies"].as_array().map_or(&[][..], Vec::as_slice);
        let names = dependencies.iter().filter_map(|dependency| dependency["name"].as_str());
        uses.insert(name, names.map(str::to_owned).collect::<Vec<_>>());
    }
    Ok(upward(&uses))
}

/// The uses that point up, and the crates that have no place in the order.
fn upward(uses: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let place = |name: &str| CRATES_FROM_THE_TOP.iter().position(|known| *known == name);
    let mut breaches = Vec::new();
    for (user, used) in uses {
        let Some(from) = place(user) else {
            breaches.push(format!("{user} has no place in the order of the crates"));
            continue;
        };
        let wrong = used.iter().filter(|used| place(used).is_some_and(|to| to < from));
        breaches.extend(wrong.map(|used| format!("{user} uses {used}, which is above it")));
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str, expected: &[&str]) {
        let mut breaches = Vec::new();
        check_file(Path::new(path), text, &mut breaches);
        assert_eq!(breaches, expected, "{path}: {text}");
    }

    #[test]
    fn files_keep_the_rules() {
        check("a.rs", "//! Why.\nfn main() {}\n", &[]);
        check("a.rs", "fn main() {}\n", &["a.rs:1: does not open with //! and why it exists"]);
        check("a.rs", &format!("//! Why.\n// {}\n", "x".repeat(138)), &["a.rs:2: more than 140 characters"]);
        check("a.rs", &format!("//! Why.\n\"{}\"\n", "x".repeat(118)), &[]);
        check("a.rs", concat!("//! Why.\n// TO", "DO\n"), &["a.rs:2: unfinished"]);
        check("a.md", concat!("see /wo", "rk/main\n"), &["a.md:1: names a path of one machine"]);
        check("a.md", concat!("see ../sha", "red/elections\n"), &[]);
        check("README.md", "cargo xtask test", &["README.md: does not show `cargo run --release -- serve`"]);
    }

    #[test]
    fn crates_use_what_is_below_them() {
        let uses = |user: &str, used: &str| BTreeMap::from([(user.to_owned(), vec![used.to_owned()])]);
        assert_eq!(upward(&uses("canvass-store", "canvass-domain")), [""; 0]);
        assert_eq!(
            upward(&uses("canvass-domain", "canvass-store")),
            ["canvass-domain uses canvass-store, which is above it"]
        );
        assert_eq!(upward(&uses("stranger", "serde")), ["stranger has no place in the order of the crates"]);
    }
}
