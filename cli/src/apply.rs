//! `sluice apply`: publishes a pipeline file with what it names, after checking it here.

use crate::args::{Apply, Global};
use crate::client::Client;
use crate::decide::{ask, mismatched};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::pipeline_file::{Unusable, load};
use crate::text::plain;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use owo_colors::OwoColorize;
use sluice_domain::api::{Answer, LARGEST_REQUEST, Request};
use sluice_domain::ids::{EnvironmentName, Hash, ServiceName};
use sluice_domain::pipeline::Faults;

/// Checks and publishes.
pub async fn run(global: &Global, output: &Output, args: &Apply) -> Result<(), Failure> {
    let file = args.file.display().to_string();
    let pipeline = load(&args.file, &args.root).map_err(|unusable| match unusable {
        Unusable::Failure(failure) => failure,
        Unusable::Faults(faults) => faulty(&file, &faults),
    })?;
    for warning in &pipeline.warnings {
        output.remark(&plain(&warning.to_string()));
    }
    let request = Request::Apply {
        file,
        text: pipeline.text,
        manifests: pipeline.manifests,
        charts: pipeline
            .charts
            .into_iter()
            .map(|(path, archive)| (path, STANDARD.encode(archive)))
            .collect(),
    };
    check_size(&args.file.display().to_string(), &request)?;
    let answer = ask(&Client::open(global).await?, output, &request).await?;
    let Answer::Applied {
        service,
        version,
        changed,
        approval_changed,
        warnings,
    } = &answer
    else {
        return Err(mismatched());
    };
    let mine: Vec<String> = pipeline.warnings.iter().map(ToString::to_string).collect();
    warnings
        .iter()
        .filter(|warning| !mine.contains(warning))
        .for_each(|warning| output.remark(&plain(warning)));
    output.answer(
        &applied_text(service, version, *changed, approval_changed),
        &answer,
    )
}

/// A request that is too large would be cut off before Sluice, with a message that says little.
fn check_size(file: &str, request: &Request) -> Result<(), Failure> {
    let size = serde_json::to_vec(request).map_or(usize::MAX, |json| json.len());
    if size <= LARGEST_REQUEST {
        return Ok(());
    }
    let message = format!(
        "{file} and the files that it names are too large to be sent: {size} bytes, and right would be at most \
         {LARGEST_REQUEST}. Nothing was published."
    );
    Err(Failure::new(Exit::Invalid, message).next("list in .helmignore what is no part of the chart"))
}

fn faulty(file: &str, faults: &Faults) -> Failure {
    let message = format!("{file} is invalid: nothing was published.");
    let faults = faults.0.iter().map(ToString::to_string).collect();
    Failure {
        faults,
        ..Failure::new(Exit::Invalid, message).next(format!("sluice validate {file}"))
    }
}

fn applied_text(
    service: &ServiceName,
    version: &Hash,
    changed: bool,
    approval: &[EnvironmentName],
) -> String {
    if !changed {
        return format!(
            "{service}: version {} is the current one already. Nothing was changed.",
            version.short()
        );
    }
    let mut text = format!("{service}: published version {}.", version.short());
    if !approval.is_empty() {
        let names: Vec<_> = approval.iter().map(ToString::to_string).collect();
        text.push_str(&format!("\nIt changes who must approve in {}.", names.join(", ")));
    }
    text.push_str(&format!(
        "\nReleases pushed from now on go by it.\n{} sluice status {service}",
        "next:".cyan()
    ));
    text
}
