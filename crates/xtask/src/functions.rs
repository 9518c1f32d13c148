//! The functions for AWS Lambda as they are deployed: built for size, packed alike each time, and measured.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest as _, Sha256};
use zip::{CompressionMethod, DateTime, ZipWriter, write::SimpleFileOptions};

use crate::{
    features::EVERYTHING,
    outcome::{Context, Outcome},
    services::Services,
    shell::{self, run, run_with},
};

/// The functions, in the order of the alphabet.
const FUNCTIONS: [&str; 3] = ["api", "export", "tally"];
/// What Lambda starts in a package for its runtimes without a language.
const ENTRY: &str = "bootstrap";
const PROFILE: &str = "lambda";
const CHECKSUMS: &str = "SHA256SUMS";

/// Builds and packs the functions for this machine's kind of processor; answers with the folder of the programs.
pub(crate) fn package() -> Outcome<PathBuf> {
    let build = ["build", "--package", "canvass-lambda", "--bins", "--features", "object-stores"];
    run("cargo", &[&build[..], &["--profile", PROFILE]].concat())?;
    let programs = shell::target()?.join(PROFILE);
    let folder = shell::target()?.join("package");
    fs::create_dir_all(&folder)?;
    let mut checksums = String::new();
    println!("| function | program, bytes | zip, bytes |\n|---|--:|--:|");
    for function in FUNCTIONS {
        let program = programs.join(function);
        let archive = folder.join(format!("{function}.zip"));
        pack(&program, &archive).context(archive.display())?;
        let (program, packed) = (fs::metadata(&program)?.len(), fs::read(&archive)?);
        println!("| {function} | {program} | {} |", packed.len());
        for byte in Sha256::digest(&packed) {
            write!(checksums, "{byte:02x}")?;
        }
        writeln!(checksums, "  {function}.zip")?;
    }
    fs::write(folder.join(CHECKSUMS), checksums)?;
    println!("\n{}", folder.display());
    Ok(programs)
}

/// One entry, with a time and rights that are always the same: equal programs give equal archives.
fn pack(program: &Path, archive: &Path) -> Outcome {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(9))
        .last_modified_time(DateTime::default())
        .unix_permissions(0o755);
    let mut writer = ZipWriter::new(File::create(archive)?);
    writer.start_file(ENTRY, options)?;
    writer.write_all(&fs::read(program).context(program.display())?)?;
    writer.finish()?;
    Ok(())
}

/// Measures the starts of the functions as they are deployed.
pub(crate) fn measure() -> Outcome {
    let programs = package()?;
    let mut services = Services::default();
    services.start_dynamodb()?;
    let mut command = Command::new("cargo");
    command.args(["test", "--quiet", "--test", "functions"]).args(EVERYTHING);
    command.args(["measure", "--", "--ignored", "--nocapture"]).env("CANVASS_TEST_FUNCTIONS", programs);
    run_with(services.tell(&mut command))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_programs_give_equal_archives() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("api");
        let archives = ["one.zip", "two.zip"].map(|name| {
            fs::write(&program, b"a program").unwrap();
            let archive = folder.path().join(name);
            pack(&program, &archive).unwrap();
            fs::read(archive).unwrap()
        });
        assert_eq!(archives[0], archives[1]);
    }
}
