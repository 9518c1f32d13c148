//! The functions for AWS Lambda as they are deployed: built for size, linked against the C library of Amazon Linux 2023,
//! and packed so that equal sources give equal bytes on any machine.
//!
//! The linker is zig's, which knows every version of the C library's symbols, so that no old Linux is needed to build
//! on. It and what leads cargo to it come from PyPI.

use std::{
    env,
    ffi::{OsStr, OsString},
    fmt::Write as _,
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use clap::{Args, ValueEnum};
use sha2::{Digest as _, Sha256};
use zip::{CompressionMethod, DateTime, ZipWriter, write::SimpleFileOptions};

use crate::{
    outcome::{Context, Outcome, ensure},
    python, sbom,
    shell::{self, run_with},
    story,
};

/// The package whose programs the functions are.
const PACKAGE: &str = "canvass-lambda";
/// The functions, in the order of the alphabet.
const FUNCTIONS: [&str; 3] = ["api", "export", "tally"];
/// What Lambda starts in a package for its runtimes without a language.
const ENTRY: &str = "bootstrap";
const PROFILE: &str = "lambda";
/// What the programs are made of, as CycloneDX tells it.
const BILL: &str = "canvass-functions.cdx.json";
const CHECKSUMS: &str = "SHA256SUMS";
/// The linker, and what leads cargo to it.
const LINKER: [&str; 2] = ["cargo-zigbuild==0.22.3", "ziglang==0.15.2"];
/// The C library of Lambda's `provided.al2023`.
const C_LIBRARY: (u32, u32) = (2, 34);
/// What stands before a version in the names by which a program asks for the C library's symbols.
const C_LIBRARY_NAME: &[u8] = b"GLIBC_";

/// What to build.
#[derive(Args)]
pub(crate) struct PackageOptions {
    /// The processor to build for
    #[arg(long, value_enum, default_value = "x86_64")]
    architecture: Architecture,
    /// Also plays the whole story of a poll with the archives, in an emulator of Lambda and with the template's
    /// environment; they must be for this machine's processor
    #[arg(long)]
    story: bool,
}

impl Default for PackageOptions {
    fn default() -> Self {
        Self { architecture: Architecture::X86, story: false }
    }
}

/// A processor of Lambda's, by the name that it has there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Architecture {
    #[value(name = "x86_64")]
    X86,
    #[value(name = "arm64")]
    Arm,
}

impl Architecture {
    const fn name(self) -> &'static str {
        match self {
            Self::X86 => "x86_64",
            Self::Arm => "arm64",
        }
    }

    const fn target(self) -> &'static str {
        match self {
            Self::X86 => "x86_64-unknown-linux-gnu",
            Self::Arm => "aarch64-unknown-linux-gnu",
        }
    }

    fn is_here(self) -> bool {
        self.target().starts_with(env::consts::ARCH)
    }
}

/// Builds and packs the functions, with a bill of what they are made of and checksums over all; answers with the folder
/// of the programs.
///
/// # Errors
/// What is missing to build them, and a program that asks for a newer C library than Lambda has.
pub(crate) fn package(options: &PackageOptions) -> Outcome<PathBuf> {
    let architecture = options.architecture;
    ensure(!options.story || architecture.is_here(), || {
        format!("archives for {} cannot play the story on this machine", architecture.name())
    })?;
    let target = shell::target()?;
    let programs = build(architecture, &target)?;
    let folder = target.join("package").join(architecture.name());
    fs::create_dir_all(&folder)?;
    pack_all(&programs, &folder)?;
    sbom::write(PACKAGE, Some(architecture.target()), &folder.join(BILL))?;
    write_checksums(&folder)?;
    println!("{}", folder.display());
    if options.story {
        story::play(&folder)?;
    }
    Ok(programs)
}

fn pack_all(programs: &Path, folder: &Path) -> Outcome {
    println!("| function | program, bytes | zip, bytes | C library |\n|---|--:|--:|--:|");
    for function in FUNCTIONS {
        let program = fs::read(programs.join(function)).context(function)?;
        let (major, minor) = c_library_asked_for(&program).unwrap_or_default();
        ensure((major, minor) <= C_LIBRARY, || {
            format!("{function} asks for glibc {major}.{minor}, which Lambda does not have")
        })?;
        let bytes = pack(&program, &folder.join(archive(function)))?;
        println!("| {function} | {} | {bytes} | {major}.{minor} |", program.len());
    }
    println!();
    Ok(())
}

fn archive(function: &str) -> String {
    format!("{function}.zip")
}

fn build(architecture: Architecture, target: &Path) -> Outcome<PathBuf> {
    let python = python::with("zig", &LINKER)?;
    let python = python.ok_or("the functions are linked by zig, which is fetched with Python 3 and pip")?;
    let tools = python.parent().ok_or("a Python lies in a folder")?;
    let triple = architecture.target();
    get_standard_library(triple)?;
    let (major, minor) = C_LIBRARY;
    let mut command = Command::new(tools.join("cargo-zigbuild"));
    command.args(["zigbuild", "--locked", "--package", PACKAGE, "--bins"]);
    command.args(["--features", "object-stores", "--profile", PROFILE]);
    command.arg("--target").arg(format!("{triple}.{major}.{minor}")).arg("--target-dir").arg(target);
    command.env("CARGO_ENCODED_RUSTFLAGS", without_places(target)?).env("PATH", path_with(tools)?);
    run_with(&mut command)?;
    Ok(target.join(triple).join(PROFILE))
}

/// Rust's own library for a processor, which is another part of the toolchain for each.
fn get_standard_library(triple: &str) -> Outcome {
    if !has_standard_library(triple) {
        shell::works("rustup", &["target", "add", triple]);
    }
    ensure(has_standard_library(triple), || {
        format!(
            "the Rust toolchain here has no standard library for {triple}, and `rustup target add {triple}` does not \
             get it; run that where it does, or build on a machine with this processor"
        )
    })
}

fn has_standard_library(triple: &str) -> bool {
    let mut rustc = Command::new("rustc");
    rustc.args(["--print", "target-libdir", "--target", triple]).current_dir(shell::root());
    rustc.output().is_ok_and(|told| Path::new(String::from_utf8_lossy(&told.stdout).trim()).is_dir())
}

/// Flags by which a program does not tell where it was built: panics name their file.
fn without_places(target: &Path) -> Outcome<OsString> {
    let mut places = vec![(shell::root(), "canvass"), (target.to_owned(), "target")];
    // Registries have names of their own where cargo is told to use others.
    for registry in fs::read_dir(cargo_home()?.join("registry/src")).context("cargo's folder of sources")? {
        places.push((registry?.path(), "crates"));
    }
    let mut flags = OsString::new();
    for (place, name) in places {
        if !flags.is_empty() {
            flags.push("\u{1f}");
        }
        flags.push("--remap-path-prefix=");
        flags.push(place);
        flags.push(format!("={name}"));
    }
    Ok(flags)
}

fn cargo_home() -> Outcome<PathBuf> {
    if let Some(home) = env::var_os("CARGO_HOME") {
        return Ok(home.into());
    }
    Ok(env::home_dir().ok_or("neither CARGO_HOME nor HOME is set")?.join(".cargo"))
}

fn path_with(first: &Path) -> Outcome<OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    let rest = env::split_paths(OsStr::new(&path));
    Ok(env::join_paths(std::iter::once(first.to_owned()).chain(rest))?)
}

/// The newest version of the C library that a program names. Only its table of symbols does.
fn c_library_asked_for(program: &[u8]) -> Option<(u32, u32)> {
    let names = memchr::memmem::find_iter(program, C_LIBRARY_NAME);
    let versions = names.filter_map(|at| version(&program[at + C_LIBRARY_NAME.len()..]));
    versions.max()
}

/// A version of two numbers or three, of which the third says nothing here.
fn version(text: &[u8]) -> Option<(u32, u32)> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'.')?;
    let mut numbers = std::str::from_utf8(&text[..end]).ok()?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// One entry, with a time and rights that are always the same: equal programs give equal archives. Answers with its bytes.
fn pack(program: &[u8], archive: &Path) -> Outcome<u64> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(9))
        .last_modified_time(DateTime::default())
        .unix_permissions(0o755);
    let mut writer = ZipWriter::new(File::create(archive).context(archive.display())?);
    writer.start_file(ENTRY, options)?;
    writer.write_all(program)?;
    Ok(writer.finish()?.metadata()?.len())
}

fn write_checksums(folder: &Path) -> Outcome {
    let mut checksums = String::new();
    for file in FUNCTIONS.map(archive).into_iter().chain([BILL.to_owned()]) {
        for byte in Sha256::digest(fs::read(folder.join(&file))?) {
            write!(checksums, "{byte:02x}")?;
        }
        writeln!(checksums, "  {file}")?;
    }
    Ok(fs::write(folder.join(CHECKSUMS), checksums)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_programs_give_equal_archives() {
        let folder = tempfile::tempdir().unwrap();
        let archives = ["one.zip", "two.zip"].map(|name| {
            let archive = folder.path().join(name);
            pack(b"a program", &archive).unwrap();
            fs::read(archive).unwrap()
        });
        assert_eq!(archives[0], archives[1]);
    }

    #[test]
    fn the_newest_c_library_counts() {
        let check = |program: &[u8], expected| assert_eq!(c_library_asked_for(program), expected);
        check(b"\x7fELF GLIBC_2.2.5\0GLIBC_2.34\0GLIBC_2.9\0GLIBC_PRIVATE\0", Some((2, 34)));
        check(b"\x7fELF", None);
    }
}
