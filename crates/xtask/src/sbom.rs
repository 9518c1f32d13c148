//! What a program is made of, as CycloneDX tells it: every crate with its version, licence and checksum.
//!
//! Cargo knows all of it, so it is asked, rather than a tool that would have to be built first. Equal sources give equal
//! bytes: there is no time and no random number in it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use clap::Args;
use serde_json::{Value, json};

use crate::{
    outcome::{Context, Outcome},
    python, shell,
};

/// What validates it, at the version that was last tried.
const PACKAGES: [&str; 1] = ["cyclonedx-python-lib[json-validation]==11.12.0"];

/// Which program, and where to.
#[derive(Args)]
pub(crate) struct SbomOptions {
    /// The file that is written.
    #[arg(long)]
    out: PathBuf,
    /// The package, with all its features.
    #[arg(long, default_value = "canvass")]
    package: String,
}

/// Writes the bill of materials of a package.
pub(crate) fn sbom(options: &SbomOptions) -> Outcome {
    write(&options.package, None, &options.out)
}

/// Writes that of the program, and has it validated against the schema; without Python and its registry that is said,
/// and with `CI=true` it is an error.
pub(crate) fn test() -> Outcome {
    let file = shell::target()?.join("sbom.json");
    write("canvass", None, &file)?;
    let Some(python) = python::with("python-sbom", &PACKAGES)? else { return Ok(()) };
    shell::run_with(Command::new(python).arg(python::script("sbom.py")).arg(file))
}

/// Writes what a package is made of with all its features, for a kind of machine: this one's if none is named.
pub(crate) fn write(package: &str, target: Option<&str>, file: &Path) -> Outcome {
    let metadata = ["metadata", "--locked", "--format-version", "1", "--all-features"];
    let metadata: Value = serde_json::from_str(&cargo(&metadata)?)?;
    let lock = fs::read_to_string(shell::root().join("Cargo.lock")).context("Cargo.lock")?;
    let linked = crates(package, target, "normal,no-proc-macro")?;
    let all = crates(package, target, "normal,build")?;
    let bill = bill(package, &metadata, &checksums(&lock), &linked, &all)?;
    let text = serde_json::to_string_pretty(&bill)? + "\n";
    fs::write(file, text).context(file.display())?;
    println!("{}: {} crates, {} of them in the program", file.display(), all.len(), linked.len());
    Ok(())
}

/// A crate's name and version.
type Name = (String, String);

/// The crates that a package needs on a kind of machine, itself included.
fn crates(package: &str, target: Option<&str>, edges: &str) -> Outcome<BTreeSet<Name>> {
    let mut tree =
        vec!["tree", "--locked", "--package", package, "--all-features", "--prefix", "none", "--no-dedupe"];
    tree.extend(["--edges", edges, "--format", "{p}"]);
    tree.extend(target.iter().flat_map(|target| ["--target", target]));
    let tree = cargo(&tree)?;
    let name = |line: &str| {
        let mut words = line.split(' ');
        words.next().zip(words.next()?.strip_prefix('v')).map(|(name, version)| (name.into(), version.into()))
    };
    Ok(tree.lines().filter_map(name).collect())
}

fn cargo(arguments: &[&str]) -> Outcome<String> {
    let output =
        Command::new("cargo").args(arguments).current_dir(shell::root()).output().context("cargo")?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The checksums in Cargo.lock; crates of this project have none.
fn checksums(lock: &str) -> BTreeMap<Name, String> {
    let value = |block: &str, key: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "))?;
        Some(line.trim_matches('"').to_owned())
    };
    let entry =
        |block: &str| Some(((value(block, "name")?, value(block, "version")?), value(block, "checksum")?));
    lock.split("[[package]]").filter_map(entry).collect()
}

fn bill(
    package: &str,
    metadata: &Value,
    checksums: &BTreeMap<Name, String>,
    linked: &BTreeSet<Name>,
    all: &BTreeSet<Name>,
) -> Outcome<Value> {
    let known: BTreeMap<Name, &Value> = list(&metadata["packages"])
        .map(|found| ((text(&found["name"]), text(&found["version"])), found))
        .collect();
    let program =
        all.iter().find(|(name, _)| name == package).ok_or("cargo tree does not name the package")?;
    let mut components = Vec::new();
    for name in all {
        let found = known.get(name).ok_or_else(|| format!("cargo metadata does not know {}", name.0))?;
        let mut component = component(name, found, checksums.get(name));
        if name == program {
            component["type"] = "application".into();
        } else {
            component["scope"] = if linked.contains(name) { "required" } else { "excluded" }.into();
        }
        components.push(component);
    }
    let program = components.remove(all.iter().position(|name| name == program).unwrap_or(0));
    Ok(json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": { "component": program },
        "components": components,
        "dependencies": dependencies(metadata, &known, all),
    }))
}

fn component(name: &Name, found: &Value, checksum: Option<&String>) -> Value {
    let mut component = json!({
        "type": "library",
        "bom-ref": reference(name),
        "name": name.0,
        "version": name.1,
    });
    if let Some(checksum) = checksum {
        component["purl"] = format!("pkg:cargo/{}@{}", name.0, name.1).into();
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    if let Some(license) = found["license"].as_str() {
        // A slash is how older crates write it.
        component["licenses"] = json!([{ "expression": license.replace('/', " OR ") }]);
    }
    if let Some(repository) = found["repository"].as_str() {
        component["externalReferences"] = json!([{ "type": "vcs", "url": repository }]);
    }
    component
}

fn reference((name, version): &Name) -> String {
    format!("{name}@{version}")
}

/// Which of the crates needs which others, in the order of their names.
fn dependencies(metadata: &Value, known: &BTreeMap<Name, &Value>, all: &BTreeSet<Name>) -> Vec<Value> {
    let names: BTreeMap<&str, &Name> =
        known.iter().filter_map(|(name, found)| Some((found["id"].as_str()?, name))).collect();
    let needed: BTreeMap<&Name, BTreeSet<&Name>> = list(&metadata["resolve"]["nodes"])
        .filter_map(|node| {
            let is_used =
                |dependency: &&Value| list(&dependency["dep_kinds"]).any(|kind| kind["kind"] != "dev");
            let used = list(&node["deps"]).filter(is_used);
            let used = used.filter_map(|dependency| names.get(dependency["pkg"].as_str()?).copied());
            Some((*names.get(node["id"].as_str()?)?, used.filter(|name| all.contains(name)).collect()))
        })
        .collect();
    let of = |name| {
        let used = needed.get(name).into_iter().flatten().map(|name| reference(name));
        json!({ "ref": reference(name), "dependsOn": used.collect::<Vec<_>>() })
    };
    all.iter().map(of).collect()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
