//! Why a command did not do what it was asked, in one line that says what happened and what to do.

use std::{fmt, io, process::ExitCode};

/// Why a command ended early.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    kind: Kind,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// It was tried and failed: exit code 1.
    Failed,
    /// It was asked wrongly: exit code 2.
    Usage,
    /// Nobody reads the output any more, as after `| head`: not a failure.
    OutputClosed,
}

impl Failure {
    /// Something was tried and did not work.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { message: message.into(), kind: Kind::Failed }
    }

    /// The command line or the configuration asks for what cannot be done.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), kind: Kind::Usage }
    }

    /// A file cannot be read or written.
    pub(crate) fn file(path: &std::path::Path, error: &io::Error) -> Self {
        Self::failed(format!("{}: {error}", path.display()))
    }

    /// Says so, on standard error.
    pub(crate) fn report(&self) -> ExitCode {
        let code = match self.kind {
            Kind::OutputClosed => return ExitCode::SUCCESS,
            Kind::Failed => 1,
            Kind::Usage => 2,
        };
        eprintln!("canvass: {self}");
        ExitCode::from(code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

/// Every plain I/O error of a command is about its output.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let kind = if error.kind() == io::ErrorKind::BrokenPipe { Kind::OutputClosed } else { Kind::Failed };
        Self { message: format!("cannot write the output: {error}"), kind }
    }
}
