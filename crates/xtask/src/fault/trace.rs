//! strace, which stops a server at a system call of one's choice or makes the call fail.

use crate::{machine, outcome::Outcome, shell};

/// The calls that change what is on disk, as the ledger and the checkpoints make them.
pub(super) const DISK_CALLS: &str = "pwrite64,fdatasync,fsync,rename,ftruncate";

/// Whether strace can be had and may trace; in a run for a change that wants to land it is installed.
pub(super) fn is_there() -> Outcome<Result<(), String>> {
    let can_trace = || shell::works("strace", &["-o", "/dev/null", "true"]);
    if !can_trace() && machine::is_ci() && machine::is_root() {
        shell::run("apt-get", &["update", "--quiet"])?;
        shell::run("apt-get", &["install", "--yes", "--quiet", "strace"])?;
    }
    Ok(if can_trace() { Ok(()) } else { Err("strace is not installed, or may not trace here".into()) })
}

/// The words before a program's own that put a fault in its way, in strace's notation. The program stays a child of
/// this process (`-D`), so that it can be waited for.
pub(super) fn inject(calls: &str, fault: &str) -> Vec<String> {
    let inject = format!("inject={calls}:{fault}");
    let trace = format!("trace={calls}");
    ["strace", "-D", "-f", "-qq", "--seccomp-bpf", "-o", "/dev/null", "-e", &trace, "-e", &inject]
        .map(str::to_owned)
        .to_vec()
}
