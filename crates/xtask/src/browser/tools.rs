//! What the tests in a browser need from outside: Debian's Chromium with its driver, and axe-core from npm.

use std::{path::PathBuf, process::Command};

use crate::{
    machine,
    outcome::{Context, Outcome},
    shell,
};

/// The version that the pages were checked with.
const AXE: &str = "axe-core@4.14.1";

/// The source of axe-core; or why the tests cannot run here.
pub(crate) fn prepare() -> Outcome<Result<String, String>> {
    if !machine::get(&["chromium", "chromium-driver"], has_browser) {
        return Ok(Err(
            "chromium and chromedriver are not installed (Debian: chromium, chromium-driver)".into()
        ));
    }
    let Some(axe) = axe()? else {
        return Ok(Err(format!("npm is not there to fetch {AXE}")));
    };
    Ok(Ok(std::fs::read_to_string(&axe).context(axe.display())?))
}

fn has_browser() -> bool {
    shell::works("chromedriver", &["--version"]) && shell::works("chromium", &["--version"])
}

/// Where axe-core lies, fetched into the target directory once.
fn axe() -> Outcome<Option<PathBuf>> {
    let folder = shell::target()?.join("axe");
    let script = folder.join("node_modules/axe-core/axe.min.js");
    let marker = folder.join("version");
    if std::fs::read_to_string(&marker).is_ok_and(|known| known == AXE) {
        return Ok(Some(script));
    }
    std::fs::create_dir_all(&folder).context(folder.display())?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--silent", "--no-save", "--ignore-scripts", "--prefix"]).arg(&folder).arg(AXE);
    if !npm.status().is_ok_and(|status| status.success()) {
        return Ok(None);
    }
    std::fs::write(marker, AXE)?;
    Ok(Some(script))
}
