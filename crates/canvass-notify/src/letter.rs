//! What people are told, whichever way it goes.

/// A text with a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// One line.
    pub subject: String,
    /// The text, plain.
    pub text: String,
}
