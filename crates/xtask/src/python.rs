//! Pythons of its own in the target directory: with the programs to compare with, and with moto's server.

use std::{path::PathBuf, process::Command};

use crate::{
    machine,
    outcome::{Outcome, ensure},
    shell,
};

/// What is installed, each at the version that the figures were taken with.
const PACKAGES: [&str; 7] = [
    "pyrankvote==2.0.6",
    "pref_voting==1.18.2",
    "starvote==2.1.6",
    "duckdb==2.0.0",
    "openpyxl==3.1.5",
    "pandas==3.1.1",
    "pyarrow==26.0.1",
];

/// The Python with what elections and exports are compared with.
///
/// # Errors
/// See [`with`].
pub(crate) fn with_packages() -> Outcome<Option<PathBuf>> {
    with("python", &PACKAGES)
}

/// A Python with packages, in a folder of the target directory; none, and it is said, where Python or its registry is not there.
///
/// # Errors
/// The same with `CI=true`, where nothing may be left out.
pub(crate) fn with(name: &str, packages: &[&str]) -> Outcome<Option<PathBuf>> {
    let folder = shell::target()?.join(name);
    let (python, marker) = (folder.join("bin/python"), folder.join("packages"));
    let wanted = packages.join(" ");
    if std::fs::read_to_string(&marker).is_ok_and(|installed| installed == wanted) {
        return Ok(Some(python));
    }
    let made = works(Command::new("python3").args(["-m", "venv"]).arg(&folder))
        && works(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(packages));
    if made {
        std::fs::write(marker, wanted)?;
        return Ok(Some(python));
    }
    ensure(!machine::is_ci(), || "Python 3 with venv and pip cannot install what tests need".into())?;
    println!("SKIPPED: Python 3 with venv and pip cannot install {wanted}");
    Ok(None)
}

fn works(command: &mut Command) -> bool {
    command.status().is_ok_and(|status| status.success())
}

/// Where a script of this crate lies.
pub(crate) fn script(name: &str) -> PathBuf {
    shell::root().join("crates/xtask/python").join(name)
}
