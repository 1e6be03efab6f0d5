//! The errors that a function raises: a closed set, because the state machines match on their names.

use lambda_runtime::Diagnostic;
use std::error::Error;
use std::fmt;

/// The longest text of an error on the wire, in characters. Step Functions takes 32 KiB as a cause.
const LONGEST: usize = 4_000;

/// The names that a function's errors have on the wire. `Retry` and `Catch` of the state machines know these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorName {
    /// Another holder has the environment: the execution ends and writes nothing more.
    Preempted,
    /// Throttled, unreachable, timed out: the same may work later.
    Transient,
    /// An optimistic write lost its race: load again and decide again.
    Conflict,
    /// The far side says no, and will again.
    Refused,
    /// The input cannot be understood.
    Invalid,
    /// A defect of ours.
    Internal,
}

impl ErrorName {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Preempted => "Preempted",
            Self::Transient => "Transient",
            Self::Conflict => "Conflict",
            Self::Refused => "Refused",
            Self::Invalid => "Invalid",
            Self::Internal => "Internal",
        }
    }
}

impl fmt::Display for ErrorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a function could not do its work.
#[derive(Debug)]
pub struct Failure {
    name: ErrorName,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    /// Every name that a function's error can have.
    pub const NAMES: [ErrorName; 6] = [
        ErrorName::Preempted,
        ErrorName::Transient,
        ErrorName::Conflict,
        ErrorName::Refused,
        ErrorName::Invalid,
        ErrorName::Internal,
    ];

    /// A failure of this name. The message is a sentence that says what happened, and what would help.
    pub fn new(name: ErrorName, message: impl Into<String>) -> Self {
        Self {
            name,
            message: message.into(),
            source: None,
        }
    }

    /// Another holder has the environment.
    pub fn preempted(message: impl Into<String>) -> Self {
        Self::new(ErrorName::Preempted, message)
    }

    /// The same may work later.
    pub fn transient(message: impl Into<String>) -> Self {
        Self::new(ErrorName::Transient, message)
    }

    /// An optimistic write lost its race.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorName::Conflict, message)
    }

    /// The far side says no.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(ErrorName::Refused, message)
    }

    /// The input cannot be understood.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorName::Invalid, message)
    }

    /// A defect of ours.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorName::Internal, message)
    }

    /// The same failure, with what caused it.
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// A failure that is another error as it stands, with its text and its causes.
    pub fn from_error(name: ErrorName, error: impl Error + Send + Sync + 'static) -> Self {
        Self::new(name, error.to_string()).caused_by(error)
    }

    /// Its name on the wire.
    pub fn name(&self) -> ErrorName {
        self.name
    }

    /// The message and every cause, one after the other. A cause that the text before says already is left out.
    pub fn in_full(&self) -> String {
        let mut text = self.message.clone();
        let mut next = self.source();
        while let Some(cause) = next {
            let said = cause.to_string();
            if !text.contains(&said) {
                text = format!("{text}: {said}");
            }
            next = cause.source();
        }
        text
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.message)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl From<Failure> for Diagnostic {
    fn from(failure: Failure) -> Self {
        Diagnostic {
            error_type: failure.name.to_string(),
            error_message: failure.in_full().chars().take(LONGEST).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Told {
        text: &'static str,
        #[source]
        source: Option<Box<Told>>,
    }

    fn told(text: &'static str, source: Option<Told>) -> Told {
        Told {
            text,
            source: source.map(Box::new),
        }
    }

    #[test]
    fn names_on_the_wire_are_the_architectures() {
        let names: Vec<_> = Failure::NAMES.iter().map(|name| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "Preempted",
                "Transient",
                "Conflict",
                "Refused",
                "Invalid",
                "Internal"
            ]
        );
        // an execution is woken with the same name that a function raises
        assert_eq!(ErrorName::Preempted.as_str(), sluice_executions::PREEMPTED);
        for name in Failure::NAMES {
            let diagnostic = Diagnostic::from(Failure::new(name, "why"));
            assert_eq!(
                (diagnostic.error_type.as_str(), diagnostic.error_message.as_str()),
                (name.as_str(), "why")
            );
        }
    }

    #[test]
    fn a_failure_tells_every_cause_once() {
        let chain = || {
            told(
                "the table did not answer",
                Some(told("timed out", Some(told("after 5 s", None)))),
            )
        };
        let failure = Failure::from_error(ErrorName::Transient, chain());
        assert_eq!(
            failure.in_full(),
            "the table did not answer: timed out: after 5 s"
        );
        let failure = Failure::internal("a record is lost").caused_by(chain());
        assert_eq!(
            failure.in_full(),
            "a record is lost: the table did not answer: timed out: after 5 s"
        );
        let repeated = told("refused: no right", Some(told("no right", None)));
        assert_eq!(
            Failure::from_error(ErrorName::Refused, repeated).in_full(),
            "refused: no right"
        );
    }

    #[test]
    fn a_text_of_any_length_fits_the_wire() {
        let diagnostic = Diagnostic::from(Failure::internal("\u{e9}".repeat(LONGEST * 2)));
        assert_eq!(diagnostic.error_message.chars().count(), LONGEST);
    }
}
