//! A real server in a process of its own, which can be killed.

use std::{
    fs::File,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    http::Client,
    outcome::{Context, Outcome, ensure},
};

/// The admin key of every server that is tested: it has no limits.
pub(crate) const ADMIN_KEY: &str = "canvass_key_of_the_fault_tests_and_benchmarks";

/// Time that a server may take to start, in a debug build beside other work.
const START_WAIT_MAX: Duration = Duration::from_mins(1);

/// A built server.
#[derive(Clone)]
pub(crate) struct Program {
    path: PathBuf,
    environment: Vec<(String, String)>,
}

impl Program {
    /// The program at a path.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, environment: Vec::new() }
    }

    /// The same with variables for every server.
    pub(crate) fn with_environment(mut self, variables: &[(&str, &str)]) -> Self {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.environment.extend(variables);
        self
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Starts it on a data directory and waits until it is ready.
    pub(crate) fn start(&self, data: &Path, address: SocketAddr) -> Outcome<Server> {
        self.start_under(&[], data, address)?.until_ready()
    }

    /// Starts it under another program, such as strace, which must leave it a child of this process.
    pub(crate) fn start_under(&self, prefix: &[String], data: &Path, address: SocketAddr) -> Outcome<Server> {
        let path = self.path.display().to_string();
        let mut words = prefix.iter().cloned().chain([path]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).arg("serve").arg("--data").arg(data).args(["--listen", &address.to_string()]);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        Server::spawn(command, data, address)
    }
}

/// A server that runs. It is killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    log: PathBuf,
}

impl Server {
    /// Starts a server by a command; what it prints goes into a file beside its data.
    pub(crate) fn spawn(mut command: Command, data: &Path, address: SocketAddr) -> Outcome<Self> {
        let log = data.with_extension("log");
        let file = File::options().create(true).append(true).open(&log).context(log.display())?;
        command.env("CANVASS_ADMIN_KEY", ADMIN_KEY).stdin(Stdio::null());
        command.stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().context(format!("{command:?}"))?;
        Ok(Self { child, address, log })
    }

    /// Waits until it answers that it is ready.
    pub(crate) fn until_ready(mut self) -> Outcome<Self> {
        let started = Instant::now();
        while !self.is_ready() {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("the server ended with {status}:\n{}", self.log()).into());
            }
            ensure(started.elapsed() < START_WAIT_MAX, || {
                format!("the server is not ready:\n{}", self.log())
            })?;
            thread::sleep(Duration::from_millis(2));
        }
        Ok(self)
    }

    /// Waits until it is ready or has ended; answers whether it is ready.
    pub(crate) fn is_ready_before_it_ends(&mut self) -> Outcome<bool> {
        let started = Instant::now();
        while started.elapsed() < START_WAIT_MAX {
            if self.is_ready() {
                return Ok(true);
            }
            if self.child.try_wait()?.is_some() {
                return Ok(false);
            }
            thread::sleep(Duration::from_millis(2));
        }
        Err(format!("the server neither starts nor ends:\n{}", self.log()).into())
    }

    fn is_ready(&self) -> bool {
        self.client().get("/readyz").is_ok_and(|answer| answer.status == 200)
    }

    /// A client with the admin key.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.address, ADMIN_KEY)
    }

    /// The process's number.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> Outcome<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Ends it at once, as a crash of the process does.
    pub(crate) fn kill(mut self) -> Outcome {
        self.child.kill().context("kill -9")?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to end, and waits for it.
    pub(crate) fn stop(mut self) -> Outcome<ExitStatus> {
        let process = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(process.ok_or("no such process")?, Signal::TERM).context("kill -TERM")?;
        Ok(self.child.wait()?)
    }

    /// What it printed.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already where this fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address of this machine that nobody listens on.
pub(crate) fn free_address() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
