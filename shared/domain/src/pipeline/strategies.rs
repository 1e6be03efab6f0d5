//! `strategy`: how a release replaces another, read and checked.

use super::alarms::{self, Alarms};
use super::checks::{self, List};
use super::manifest::is_object_name;
use super::people::People;
use super::reading::Reading;
use super::section::{Section, Text};
use super::workload::is_dns_label;
use super::{BlueGreen, Canary, CanaryStep, FaultKind, Router, Seconds, Strategy, keys};
use crate::ids::PersonName;
use crate::tracks::TrackServices;
use std::collections::BTreeSet;

/// Limits of a step's `bake`: CloudWatch's alarms look every 10 s at best.
const BAKE: (Seconds, Seconds) = (Seconds(10), Seconds(86_400));
/// Limits of a step's `pause`: a person is asked, who may be asleep or on a weekend.
const PAUSE: (Seconds, Seconds) = (Seconds(10), Seconds(7 * 86_400));
/// The longest that all steps' bakes and pauses may take together: two releases run side by side all the while.
pub(super) const LONGEST_STEPS: Seconds = Seconds(14 * 86_400);
/// Each step is several transitions of the state machine, and a row in `status`.
const MOST_STEPS: usize = 20;
/// A track's part of the traffic, in percent, that is neither none nor all.
const WEIGHT: (u32, u32) = (1, 99);

const STRATEGY: &str = "\"rolling\", which is also the default, or a table [environment.strategy.canary] or \
                        [environment.strategy.blue_green]";
const CANARY: &str = "[environment.strategy.canary] with router and steps";
const BLUE_GREEN: &str = "[environment.strategy.blue_green] with router";
const ROUTER: &str = "{ http_route = \"mc-api\" }, { alb_ingress = \"mc-api\", action = \"mc-api\" }, or for blue_green \
                      also \"service\"";
const STEPS: &str = "steps = [{ weight = 5, bake = \"5m\" }, { weight = 50, bake = \"5m\" }]";
const SERVICE: &str = "the Service's name: lowercase letters, digits and inner hyphens, starting with a letter, so short \
                       that `-preview` can follow it within 63";

/// What could be read.
pub(super) struct Read {
    /// None after a fault.
    pub strategy: Option<Strategy>,
    /// Who may answer a check of `preview`.
    pub answering: BTreeSet<PersonName>,
}

pub(super) fn read(
    reading: &mut Reading<'_>,
    section: &Section<'_, '_>,
    people: &People,
    alarms: &Alarms,
) -> Read {
    let none = |strategy| Read {
        strategy,
        answering: BTreeSet::new(),
    };
    let Some(value) = section.value("strategy") else {
        return none(Some(Strategy::Rolling));
    };
    if !value.is_table() {
        return none(in_words(reading, section));
    }
    let Some(table) = reading.section(section, "strategy") else {
        return none(None);
    };
    check_table(reading, &table);
    // both are read, so that the faults of each are told
    let canary = reading.section(&table, "canary");
    let canary = canary.map(|section| canary_of(reading, &section, alarms));
    let (mut answering, mut blue_green) = (BTreeSet::new(), None);
    if let Some(section) = reading.section(&table, "blue_green") {
        let (found, who) = blue_green_of(reading, &section, people);
        (blue_green, answering) = (found.map(Strategy::BlueGreen), who);
    }
    Read {
        strategy: canary.flatten().map(Strategy::Canary).or(blue_green),
        answering,
    }
}

fn in_words(reading: &mut Reading<'_>, section: &Section<'_, '_>) -> Option<Strategy> {
    let value = section.value("strategy")?;
    if value.as_str().is_none() {
        let place = section.place_of("strategy");
        reading.wrong_type(&place, value, "the name of a strategy or a table", STRATEGY);
    }
    let text = section.plain_text("strategy")?;
    let (problem, right) = match text.text {
        "rolling" => return Some(Strategy::Rolling),
        "canary" => ("does not say the router and the steps", CANARY),
        "blue_green" => ("does not say the router", BLUE_GREEN),
        _ => ("is no strategy", STRATEGY),
    };
    reading.fault(FaultKind::Value, &text.place, text.quoted(), problem, right);
    None
}

/// One strategy, and one that is a table.
fn check_table(reading: &mut Reading<'_>, table: &Section<'_, '_>) {
    let right = format!("strategy = {STRATEGY}");
    let known = |key: &str| keys::STRATEGY.known.contains(&key);
    for key in table.names().filter(|key| !known(key.text)) {
        let found = Some(format!("`{}`", super::text::cut(key.text)));
        let (problem, right) = match key.text {
            "rolling" => ("has nothing to say", "strategy = \"rolling\""),
            _ => ("is no strategy", right.as_str()),
        };
        reading.fault(FaultKind::UnknownKey, &key.place, found, problem, right);
    }
    if table.names().next().is_none() {
        let problem = "names no strategy";
        reading.fault(FaultKind::Missing, &table.place(), None, problem, right);
    }
    if table.has("canary") && table.has("blue_green") {
        let problem = "is beside canary, and an environment has one strategy";
        let place = table.place_of("blue_green");
        reading.fault(FaultKind::Conflict, &place, None, problem, "one of the two");
    }
}

fn canary_of(reading: &mut Reading<'_>, section: &Section<'_, '_>, alarms: &Alarms) -> Option<Canary> {
    reading.keys(section, &keys::CANARY);
    let service = service(reading, section);
    let router = router(reading, section, service.as_deref());
    if router == Some(Router::Service) {
        let problem = "is all or nothing, and a canary gets its traffic in steps";
        let right =
            "router = { http_route = \"...\" } or { alb_ingress = \"...\" }, or the strategy blue_green";
        let found = Some("\"service\"".to_owned());
        reading.fault(
            FaultKind::Conflict,
            &section.place_of("router"),
            found,
            problem,
            right,
        );
    }
    let steps = steps(reading, section);
    let requests = alarms::requests(reading, section, alarms);
    if !alarms.some {
        let problem = "there are no alarms: while it bakes, nothing but a person could stop it";
        let right = "alarms = [\"...\"] of the environment";
        reading.fault(FaultKind::Warning, &section.place(), None, problem, right);
    }
    Some(Canary {
        router: router?,
        service,
        steps: steps?,
        requests,
    })
}

fn blue_green_of(
    reading: &mut Reading<'_>,
    section: &Section<'_, '_>,
    people: &People,
) -> (Option<BlueGreen>, BTreeSet<PersonName>) {
    reading.keys(section, &keys::BLUE_GREEN);
    let service = service(reading, section);
    let router = router(reading, section, service.as_deref());
    let list = List {
        key: "preview",
        helm_test: false,
    };
    let (preview, answering) = checks::read(reading, section, list, people);
    let blue_green = router.map(|router| BlueGreen {
        router,
        service,
        preview,
    });
    (blue_green, answering)
}

/// Kubernetes: a Service's name is a label that starts with a letter (RFC 1035), at most 63 characters.
fn service(reading: &mut Reading<'_>, section: &Section<'_, '_>) -> Option<String> {
    let text = reading.text(section, "service")?;
    reading.parsed(&text, SERVICE, |text| {
        if is_root_service(text) {
            Ok(text.to_owned())
        } else {
            Err("is no name of a Service with tracks")
        }
    })
}

/// Whether a Service of this name can have others beside it, named after it: one for each track, and the preview.
pub(crate) fn is_root_service(name: &str) -> bool {
    let longest = TrackServices {
        root: name.to_owned(),
    };
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && is_dns_label(name)
        && is_dns_label(&longest.preview())
}

fn router(reading: &mut Reading<'_>, section: &Section<'_, '_>, service: Option<&str>) -> Option<Router> {
    let Some(value) = section.value("router") else {
        reading.missing(section, "router", ROUTER);
        return None;
    };
    if value.is_table() {
        let table = reading.section(section, "router")?;
        return router_table(reading, &table, service);
    }
    if value.as_str().is_none() {
        let place = section.place_of("router");
        reading.wrong_type(&place, value, "a router", ROUTER);
    }
    let text = section.plain_text("router")?;
    let problem = match text.text {
        "service" => return Some(Router::Service),
        "http_route" | "alb_ingress" => "does not say which object of the cluster it is",
        _ => "is no router",
    };
    reading.fault(FaultKind::Value, &text.place, text.quoted(), problem, ROUTER);
    None
}

fn router_table(reading: &mut Reading<'_>, table: &Section<'_, '_>, service: Option<&str>) -> Option<Router> {
    reading.keys(table, &keys::ROUTER);
    let route = reading.text(table, "http_route");
    let route = route.and_then(|text| object_name(reading, &text, "an HTTPRoute"));
    let ingress = reading.text(table, "alb_ingress");
    let ingress = ingress.and_then(|text| object_name(reading, &text, "an Ingress"));
    let action = reading.text(table, "action");
    let action = action.map(|text| reading.parsed(&text, ACTION, action_name));
    match (table.has("http_route"), table.has("alb_ingress")) {
        (true, false) => {
            if table.has("action") {
                let problem = "is of an alb_ingress";
                let place = table.place_of("action");
                reading.fault(FaultKind::Conflict, &place, None, problem, "leave it out");
            }
            route.map(Router::HttpRoute)
        }
        (false, true) => {
            let action = match action {
                Some(action) => action,
                None if service.is_none() && !table.has("action") => {
                    reading.missing(table, "action", ACTION);
                    None
                }
                None => service.map(str::to_owned),
            };
            Some(Router::AlbIngress {
                ingress: ingress?,
                action: action?,
            })
        }
        (true, true) => {
            let problem = "is beside http_route, and one router shares the traffic out";
            let place = table.place_of("alb_ingress");
            reading.fault(FaultKind::Conflict, &place, None, problem, "one of the two");
            None
        }
        (false, false) => {
            let problem = "names no object of the cluster";
            reading.fault(FaultKind::Missing, &table.place(), None, problem, ROUTER);
            None
        }
    }
}

const ACTION: &str = "the name after `alb.ingress.kubernetes.io/actions.` at the Ingress, which is also the backend that \
                      its rules name; or `service` beside `router`, whose name is then taken";

/// AWS Load Balancer Controller, "Ingress annotations", `actions.${action-name}`: the name is a rule's backend service.
fn action_name(text: &str) -> Result<String, &'static str> {
    if is_dns_label(text) && text.starts_with(|c: char| c.is_ascii_lowercase()) {
        Ok(text.to_owned())
    } else {
        Err("is no name of an action: it is what a rule of the Ingress has as its backend")
    }
}

fn object_name(reading: &mut Reading<'_>, text: &Text<'_>, of: &str) -> Option<String> {
    if is_object_name(text.text) {
        return Some(text.text.to_owned());
    }
    let problem = format!("is no name of {of}");
    let right =
        "its name in the environment's namespace: lowercase letters, digits, `-` and `.`, at most 253";
    reading.fault(FaultKind::Value, &text.place, text.quoted(), problem, right);
    None
}

fn steps(reading: &mut Reading<'_>, section: &Section<'_, '_>) -> Option<Vec<CanaryStep>> {
    let sections = reading.sections(section, "steps");
    if !section.lists("steps") {
        reading.missing(section, "steps", STEPS);
    }
    if let Some(first_too_many) = sections.get(MOST_STEPS) {
        let problem = format!("there are {} steps", sections.len());
        let right = format!("at most {MOST_STEPS}");
        reading.fault(FaultKind::Value, &first_too_many.place(), None, problem, right);
    }
    let (mut highest, mut steps) = (None, Vec::new());
    for entry in &sections {
        steps.push(step(reading, entry, &mut highest));
    }
    let steps: Option<Vec<CanaryStep>> = steps.into_iter().collect();
    let steps = steps.filter(|steps| !steps.is_empty())?;
    check_length(reading, section, &steps);
    Some(steps)
}

fn step(reading: &mut Reading<'_>, entry: &Section<'_, '_>, highest: &mut Option<u32>) -> Option<CanaryStep> {
    reading.keys(entry, &keys::STEP);
    let right =
        "a whole number from 1 to 99, the release's part of the traffic in percent; 100 follows by itself";
    let weight = reading.required_number(entry, "weight", WEIGHT, right);
    if let Some((weight, before)) = weight.zip(*highest).filter(|(weight, before)| weight <= before) {
        let problem = format!("is not above the {before} of the step before");
        let (place, found) = (entry.place_of("weight"), Some(weight.to_string()));
        reading.fault(FaultKind::Conflict, &place, found, problem, "weights that rise");
    }
    *highest = weight.or(*highest);
    if !entry.has("bake") {
        let right = format!("bake = \"5m\", from \"{}\" to \"{}\"", BAKE.0, BAKE.1);
        reading.missing(entry, "bake", &right);
    }
    let bake = reading.optional_duration(entry, "bake", BAKE);
    let pause = reading.optional_duration(entry, "pause", PAUSE);
    if entry.has("pause") && pause.is_none() {
        return None;
    }
    Some(CanaryStep {
        weight: weight?,
        bake: bake?,
        pause,
    })
}

fn check_length(reading: &mut Reading<'_>, section: &Section<'_, '_>, steps: &[CanaryStep]) {
    let seconds = |step: &CanaryStep| step.bake.get() + step.pause.map_or(0, Seconds::get);
    let all = Seconds(steps.iter().map(seconds).sum());
    if all > LONGEST_STEPS {
        let problem = format!("may take {all} together");
        let right = format!("bakes and pauses of at most {LONGEST_STEPS} together");
        reading.fault(FaultKind::Value, &section.place_of("steps"), None, problem, right);
    }
}
