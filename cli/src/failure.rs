//! Why a command did not do what was asked, and the exit code that says so.

use serde::Serialize;
use sluice_domain::api::{Refusal, RefusalKind};
use std::error::Error;
use std::process::ExitCode;

/// How a command ended. The numbers are part of the command's interface: `docs/cli.md` and `sluice --help` list them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// It was done.
    Ok,
    /// A defect, or an answer that cannot be understood.
    Unexpected,
    /// The command line or its settings are wrong.
    Usage,
    /// The pipeline file or the request is wrong.
    Invalid,
    /// The caller may not.
    Denied,
    /// It cannot be done as things stand.
    Refused,
    /// There is no such service, environment or release.
    NotFound,
    /// Something is out of reach; the same command may work later.
    Unavailable,
    /// A ledger or an export of one is not whole.
    LedgerFault,
    /// What was followed ended, and not with success.
    NotSucceeded,
    /// Ctrl-C.
    Interrupted,
}

impl Exit {
    /// The process's exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Unexpected => 1,
            Self::Usage => 2,
            Self::Invalid => 3,
            Self::Denied => 4,
            Self::Refused => 5,
            Self::NotFound => 6,
            Self::Unavailable => 7,
            Self::LedgerFault => 8,
            Self::NotSucceeded => 9,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command did not do what was asked: what happened and why, and the next command.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// How the process ends.
    pub exit: Exit,
    /// What happened and why, in a sentence or two.
    pub message: String,
    /// The next command, where there is one.
    pub next: Option<String>,
    /// Each fault, as text, where there are several.
    pub faults: Vec<String>,
    /// What lies under it.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    /// A failure that nothing lies under.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            next: None,
            faults: Vec::new(),
            source: None,
        }
    }

    /// Names the next command.
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// Names what lies under it.
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What lies under it, outermost first, each cause once.
    pub fn causes(&self) -> Vec<String> {
        let mut causes = Vec::new();
        let mut cause = self.source.as_deref().map(|source| source as &dyn Error);
        while let Some(error) = cause {
            let text = error.to_string();
            if causes.last().is_none_or(|last: &String| !last.ends_with(&text)) {
                causes.push(text);
            }
            cause = error.source();
        }
        causes
    }

    /// The failure as programs read it: one JSON object on standard error.
    pub fn report(&self) -> FailureReport<'_> {
        FailureReport {
            error: FailureBody {
                kind: self.exit,
                exit_code: self.exit.code(),
                message: &self.message,
                next: self.next.as_deref(),
                faults: &self.faults,
                causes: self.causes(),
            },
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let exit = match refusal.kind {
            RefusalKind::Invalid => Exit::Invalid,
            RefusalKind::Denied => Exit::Denied,
            RefusalKind::NotFound => Exit::NotFound,
            RefusalKind::Refused => Exit::Refused,
            RefusalKind::Unavailable => Exit::Unavailable,
        };
        Self {
            exit,
            message: refusal.message,
            next: refusal.next,
            faults: refusal.faults,
            source: None,
        }
    }
}

/// What is printed of a failure with `--output json`.
#[derive(Debug, Serialize)]
pub struct FailureReport<'a> {
    error: FailureBody<'a>,
}

#[derive(Debug, Serialize)]
struct FailureBody<'a> {
    kind: Exit,
    exit_code: u8,
    message: &'a str,
    next: Option<&'a str>,
    faults: &'a [String],
    causes: Vec<String>,
}
