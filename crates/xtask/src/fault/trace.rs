//! strace, which stops a server at a system call of one's choice or makes the call fail.
//!
//! strace counts calls for each thread and each call by itself, so a fault names one call and its number.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    machine,
    outcome::{Context, Outcome, ensure},
    shell,
};

/// Time that strace may take to attach.
const ATTACH_WAIT_MAX: Duration = Duration::from_secs(10);

/// Whether strace can be had and may trace; in a run for a change that wants to land it is installed.
pub(super) fn is_there() -> Outcome<Result<(), String>> {
    let can_trace = || shell::works("strace", &["-o", "/dev/null", "true"]);
    if !can_trace() && machine::is_ci() && machine::is_root() {
        shell::run("apt-get", &["update", "--quiet"])?;
        shell::run("apt-get", &["install", "--yes", "--quiet", "strace"])?;
    }
    Ok(if can_trace() { Ok(()) } else { Err("strace is not installed, or may not trace here".into()) })
}

/// A fault in a call, in strace's notation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Injection<'a> {
    pub(super) call: &'a str,
    pub(super) fault: &'a str,
    /// Only calls on this file.
    pub(super) file: Option<&'a Path>,
}

impl Injection<'_> {
    fn words(&self) -> Vec<String> {
        let Self { call, fault, file } = self;
        let fixed = ["-f", "-qqq", "-o", "/dev/null", "-e"].map(str::to_owned);
        let inject = [format!("trace={call}"), "-e".into(), format!("inject={call}:{fault}")];
        let file = file.map(|file| ["-P".to_owned(), file.display().to_string()]);
        fixed.into_iter().chain(inject).chain(file.into_iter().flatten()).collect()
    }

    /// The words before a program's own that put the fault in its way from its start on. The program stays a child of
    /// this process (`-D`), so that it can be waited for.
    pub(super) fn prefix(&self) -> Vec<String> {
        ["strace", "-D"].map(str::to_owned).into_iter().chain(self.words()).collect()
    }

    /// Puts the fault in the way of a program that runs, and waits until each of its threads is traced.
    pub(super) fn attach(&self, process: u32) -> Outcome<Tracer> {
        let mut command = Command::new("strace");
        command.args(self.words()).args(["-p", &process.to_string()]);
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().context("strace")?;
        let tracer = Tracer(child);
        let started = Instant::now();
        while !is_traced(process) {
            ensure(started.elapsed() < ATTACH_WAIT_MAX, || "strace does not attach".into())?;
            thread::sleep(Duration::from_millis(1));
        }
        Ok(tracer)
    }
}

/// A strace that is attached to a server; it lets go when it is dropped.
pub(super) struct Tracer(Child);

impl Drop for Tracer {
    fn drop(&mut self) {
        // It has ended already if its server has.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether each thread of a process has a tracer.
fn is_traced(process: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return false };
    threads.flatten().all(|thread| {
        let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        status.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"))
    })
}
