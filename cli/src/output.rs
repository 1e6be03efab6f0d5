//! Where a command's words go: answers to standard output, everything else to standard error.

use crate::failure::{Exit, Failure};
use crate::text::plain;
use anstream::{AutoStream, ColorChoice};
use clap::ValueEnum;
use owo_colors::OwoColorize;
use serde::Serialize;
use std::io::{self, IsTerminal, Write};

/// Columns where the width is not known: a pipe, a file, a log.
const PIPED_WIDTH: u16 = 80;
/// Wider tables are harder to read, however wide the window is.
const WIDEST: u16 = 120;
/// Below this a table is a column of letters; it is better cut by the terminal.
const NARROWEST: u16 = 60;

/// For whom the answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Sentences and tables, for people.
    Text,
    /// JSON, for programs.
    Json,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Also into a pipe.
    Always,
    /// Not at all.
    Never,
}

/// Both streams, with the format and the colours that were asked for.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// For whom the answer is.
    pub format: Format,
    color: ColorChoice,
}

impl Output {
    /// The streams of this process.
    pub fn new(format: Format, color: Color) -> Self {
        let color = match color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        Self { format, color }
    }

    /// Whether the answer is for programs.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether a person watches standard error, where progress is drawn.
    pub fn is_watched(&self) -> bool {
        !self.is_json() && io::stderr().is_terminal()
    }

    /// How wide a table may be, in columns.
    pub fn width(&self) -> u16 {
        let of_terminal = || terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| width.0);
        let width = if io::stdout().is_terminal() {
            of_terminal()
        } else {
            None
        };
        width.unwrap_or(PIPED_WIDTH).clamp(NARROWEST, WIDEST)
    }

    /// Writes text for people, or the same as one line of JSON for programs.
    pub fn answer(&self, text: &str, json: &impl Serialize) -> Result<(), Failure> {
        if self.is_json() {
            self.json(json)
        } else {
            self.print(text)
        }
    }

    /// Writes one line of JSON to standard output.
    pub fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        let line = serde_json::to_string(value).map_err(|error| {
            Failure::new(Exit::Unexpected, "The answer cannot be written as JSON.").because(error)
        })?;
        self.print(&line)
    }

    /// Writes lines to standard output.
    pub fn print(&self, text: &str) -> Result<(), Failure> {
        let mut out = AutoStream::new(io::stdout().lock(), choice(self.color, &io::stdout()));
        let written = writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush());
        written.map_err(|error| unwritable("standard output", error))
    }

    /// Writes a remark for people to standard error. Programs are not told.
    pub fn remark(&self, text: &str) {
        if !self.is_json() {
            self.complain(text);
        }
    }

    /// Says why the command failed, on standard error.
    pub fn fail(&self, failure: &Failure) {
        if self.is_json() {
            let report = serde_json::to_string(&failure.report());
            self.complain(
                &report.unwrap_or_else(|error| format!("{{\"error\":{{\"message\":\"{error}\"}}}}")),
            );
        } else {
            self.complain(&failure_text(failure));
        }
    }

    /// Standard error may be closed; there is nobody left to tell then.
    fn complain(&self, text: &str) {
        let mut err = AutoStream::new(io::stderr().lock(), choice(self.color, &io::stderr()));
        let _ = writeln!(err, "{}", text.trim_end());
    }
}

/// `auto` looks at the stream and at NO_COLOR, CLICOLOR_FORCE and TERM (anstream does).
fn choice(wanted: ColorChoice, stream: &impl anstream::stream::RawStream) -> ColorChoice {
    if wanted == ColorChoice::Auto {
        AutoStream::choice(stream)
    } else {
        wanted
    }
}

/// A failure to write. A reader that went away (`| head`) is its own wish, and no failure.
pub fn unwritable(to: &str, error: io::Error) -> Failure {
    let exit = if error.kind() == io::ErrorKind::BrokenPipe {
        Exit::Ok
    } else {
        Exit::Unexpected
    };
    Failure::new(exit, format!("Writing to {to} failed.")).because(error)
}

/// What people read of a failure.
pub fn failure_text(failure: &Failure) -> String {
    let mut text = format!("{} {}\n", "error:".red().bold(), plain(&failure.message));
    for cause in failure.causes() {
        text.push_str(&format!(
            "  because: {}\n",
            plain(&cause).trim_end().replace('\n', "\n    ")
        ));
    }
    for fault in failure.faults.iter().map(|fault| plain(fault)) {
        // A fault of a file is laid out already: where it is, and what would be right below.
        text.push_str(&if fault.contains('\n') {
            format!("{fault}\n")
        } else {
            format!("  - {fault}\n")
        });
    }
    if let Some(next) = &failure.next {
        text.push_str(&format!("{} {}\n", "next:".cyan(), plain(next)));
    }
    text
}
