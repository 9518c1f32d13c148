//! Flags, variables and the file: which comes first, and how a mistake is told.

use crate::harness::{Output, finish, program};

/// What `config print --json` says of an option with this file, variable and flags.
fn value(file: &str, variables: &[(&str, &str)], flags: &[&str], option: &str) -> String {
    let output = print(file, variables, &[flags, &["--json"]].concat());
    assert_eq!(output.code, 0, "{}", output.stderr);
    serde_json::from_str::<serde_json::Value>(&output.stdout).unwrap()[option].to_string()
}

fn print(file: &str, variables: &[(&str, &str)], flags: &[&str]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("canvass.toml"), file).unwrap();
    let variables = variables.iter().copied();
    finish(program().args(["config", "print"]).args(flags).envs(variables).current_dir(directory.path()))
}

#[test]
fn a_flag_comes_before_a_variable_before_the_file_before_the_default() {
    assert_eq!(value("", &[], &[], "trusted-proxies"), "0");
    assert_eq!(value("trusted-proxies = 1", &[], &[], "trusted-proxies"), "1");
    let variable = [("CANVASS_TRUSTED_PROXIES", "2")];
    assert_eq!(value("trusted-proxies = 1", &variable, &[], "trusted-proxies"), "2");
    assert_eq!(value("trusted-proxies = 1", &variable, &["--trusted-proxies", "3"], "trusted-proxies"), "3");
    assert_eq!(value("implicit-polls = true", &[], &["--implicit-polls=false"], "implicit-polls"), "false");
    assert_eq!(value("", &[], &["--implicit-polls"], "implicit-polls"), "true");
}

#[test]
fn what_is_printed_can_be_used_as_a_file() {
    let printed = print("workers = 3", &[], &[]);
    assert_eq!(value(&printed.stdout, &[], &[], "workers"), "3");
}

#[test]
fn no_secret_is_printed() {
    let output = print("admin-key = \"hush\"", &[("CANVASS_KEY", "hush")], &[]);
    assert!(output.code == 0 && !output.stdout.contains("hush"), "{output:?}");
}

/// What each command says of a mistake in the file.
fn check(file: &str, expected: &str) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("canvass.toml"), file).unwrap();
    for command in [&["config", "check"][..], &["config", "print"], &["serve"], &["results", "lunch"]] {
        let output = finish(program().args(command).current_dir(directory.path()));
        assert_eq!((output.code, output.stderr), (2, format!("canvass: {expected}\n")), "{command:?}");
    }
}

#[test]
fn a_mistake_is_told_with_its_line_and_column() {
    check("workers = \"two\"", "canvass.toml:1:11: invalid type: string \"two\", expected usize");
    check(
        "\n[client]\nsevrer = \"x\"",
        "canvass.toml:3:1: unknown field `sevrer`, expected `server` or `key`",
    );
    check("workers = 1\nworkers = 2", "canvass.toml:2:1: duplicate key");
    check(
        "tls-acme-domain = \"*.example.org\"",
        "canvass.toml:1:19: \"*.example.org\" is no domain that can be proven: write names such as votes.example.org, in ASCII, without wildcards",
    );
}
