//! What the machine is and what a process takes of it, as Linux tells in /proc.

use std::{fs, path::Path, thread};

use crate::{
    outcome::{Context, Outcome},
    shell,
};

/// One line on the machine that figures were taken on.
pub(crate) fn describe() -> String {
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".into());
    let memory = field("/proc/meminfo", "MemTotal").and_then(|value| kibibytes(&value)).unwrap_or(0);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{} cores, {processor}, {} GiB of memory, Linux {}",
        thread::available_parallelism().map_or(0, usize::from),
        memory >> 20,
        kernel.trim()
    )
}

/// Bytes of memory that a process holds (VmRSS).
pub(crate) fn resident_bytes(process: u32) -> Outcome<u64> {
    let path = format!("/proc/{process}/status");
    let value = field(&path, "VmRSS").and_then(|value| kibibytes(&value));
    value.map(|kibibytes| kibibytes * 1024).ok_or_else(|| format!("{path} tells no memory").into())
}

/// Most bytes of memory that a process has held since it started, or since that was forgotten (VmHWM).
pub(crate) fn peak_bytes(process: u32) -> Outcome<u64> {
    let path = format!("/proc/{process}/status");
    let value = field(&path, "VmHWM").and_then(|value| kibibytes(&value));
    value.map(|kibibytes| kibibytes * 1024).ok_or_else(|| format!("{path} tells no memory").into())
}

/// Has the peak begin anew with what the process holds now.
pub(crate) fn forget_peak(process: u32) -> Outcome {
    let path = format!("/proc/{process}/clear_refs");
    fs::write(&path, "5").context(path)
}

/// Seconds that a process has spent on the cores, in its own code and in the system's. Linux counts them in hundredths.
pub(crate) fn processor_seconds(process: u32) -> Outcome<f64> {
    let path = format!("/proc/{process}/stat");
    let text = fs::read_to_string(&path).context(&path)?;
    // The name, which may hold anything, stands in parentheses before the fields that are counted from 3.
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |number: usize| fields.get(number - 3).and_then(|field| field.parse::<u32>().ok());
    match (ticks(14), ticks(15)) {
        (Some(own), Some(system)) => Ok((f64::from(own) + f64::from(system)) / 100.0),
        _ => Err(format!("{path} tells no times").into()),
    }
}

/// Bytes that a directory's files take on disk.
pub(crate) fn disk_bytes(directory: &Path) -> Outcome<u64> {
    use std::os::unix::fs::MetadataExt as _;
    let mut bytes = 0;
    for entry in fs::read_dir(directory).context(directory.display())? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { disk_bytes(&entry.path())? } else { metadata.blocks() * 512 };
    }
    Ok(bytes)
}

/// Allows as many open files as the system lets this process have; answers with that number.
pub(crate) fn raise_open_files() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limits = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limits.maximum, maximum: limits.maximum };
    let now = if setrlimit(Resource::Nofile, raised).is_ok() { limits.maximum } else { limits.current };
    now.unwrap_or(u64::MAX)
}

/// Whether this process may mount file systems and install packages.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether programs are there; where this is root on Debian, what they need is installed.
pub(crate) fn get(packages: &[&str], are_there: impl Fn() -> bool) -> bool {
    if are_there() || !is_root() || !shell::works("apt-get", &["--version"]) {
        return are_there();
    }
    eprintln!("installing {}", packages.join(", "));
    let install = || {
        let options = ["install", "--yes", "--quiet", "--no-install-recommends"];
        shell::works("apt-get", &[&options[..], packages].concat())
    };
    (install() || (shell::works("apt-get", &["--quiet", "update"]) && install())) && are_there()
}

/// Whether this is a run for a change that wants to land, where nothing may be left out.
pub(crate) fn is_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true")
}

fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.split(':').next().is_some_and(|start| start.trim() == name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn kibibytes(value: &str) -> Option<u64> {
    value.strip_suffix(" kB")?.trim().parse().ok()
}
