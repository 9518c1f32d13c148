//! Running other programs, and where the project keeps what it builds.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::outcome::{Context, Outcome, ensure};

/// The project's own directory.
pub(crate) fn root() -> PathBuf {
    // Cargo sets it when it runs this tool; without cargo, where it was built is the best guess.
    let here = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.ancestors().nth(2).unwrap_or(&here).to_owned()
}

/// Where cargo builds: this program lies in a profile's folder of it.
pub(crate) fn target() -> Outcome<PathBuf> {
    let program = std::env::current_exe()?;
    Ok(program.ancestors().nth(2).ok_or("this program does not lie in a target directory")?.to_owned())
}

/// Runs a program in the project's directory; what it prints is shown.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Outcome {
    run_with(Command::new(program).args(arguments))
}

/// The same for a command that is set up further.
pub(crate) fn run_with(command: &mut Command) -> Outcome {
    let shown = format!("{command:?}").replace('"', "");
    eprintln!("$ {shown}");
    let status = command.current_dir(root()).stdin(Stdio::null()).status().context(&shown)?;
    ensure(status.success(), || format!("{shown} ended with {status}"))
}

/// Whether a program is there and says that it works.
pub(crate) fn works(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Builds the server and answers with its path.
pub(crate) fn build_canvass(profile: &str) -> Outcome<PathBuf> {
    run("cargo", &["build", "--quiet", "--package", "canvass", "--profile", profile])?;
    Ok(canvass_in(&target()?, profile))
}

/// Where a profile's build of the server lies.
pub(crate) fn canvass_in(target: &Path, profile: &str) -> PathBuf {
    target.join(if profile == "dev" { "debug" } else { profile }).join("canvass")
}
