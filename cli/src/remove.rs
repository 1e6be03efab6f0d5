//! `sluice remove`: a service leaves Sluice's care, once somebody said that it shall.

use crate::args::{Global, Remove};
use crate::client::Client;
use crate::decide::{ask, done};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use sluice_domain::api::Request;
use std::io::{BufRead, IsTerminal};

/// Asks the person first, unless `--yes` says so.
pub async fn run(global: &Global, output: &Output, args: &Remove) -> Result<(), Failure> {
    let service = &args.service;
    if !args.yes {
        confirmed(output, args)?;
    }
    let request = Request::Remove {
        service: service.clone(),
    };
    let answer = ask(&Client::open(global).await?, output, &request).await?;
    done(output, &answer).map(|_| ())
}

fn confirmed(output: &Output, args: &Remove) -> Result<(), Failure> {
    let service = &args.service;
    let yes = format!("sluice remove {service} --yes");
    if !output.is_watched() || !std::io::stdin().is_terminal() {
        let message = format!("Nobody is there to say whether {service} shall leave Sluice's care.");
        return Err(Failure::new(Exit::Usage, message).next(yes));
    }
    output.remark(&format!(
        "{service} leaves Sluice's care: no push is delivered any more. What runs, and its history,\nstay. \
         Remove it? [y/N]"
    ));
    let mut said = String::new();
    let read = std::io::stdin().lock().read_line(&mut said);
    match read {
        Ok(_) if ["y", "yes"].contains(&said.trim().to_lowercase().as_str()) => Ok(()),
        _ => Err(Failure::new(Exit::Refused, format!("{service} was not removed.")).next(yes)),
    }
}
