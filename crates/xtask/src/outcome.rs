//! How the tools fail: with a sentence for the person who ran them.

use std::fmt::Display;

/// What a tool comes to.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// Any error, with what was being done.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Says what was being done when something failed.
pub(crate) trait Context<T> {
    /// Puts words before the error's own.
    fn context(self, doing: impl Display) -> Outcome<T>;
}

impl<T, E: Display> Context<T> for Result<T, E> {
    fn context(self, doing: impl Display) -> Outcome<T> {
        self.map_err(|error| format!("{doing}: {error}").into())
    }
}

/// Fails with a sentence unless something holds.
pub(crate) fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(otherwise().into()) }
}
