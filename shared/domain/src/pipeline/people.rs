//! `[people.<name>]`: who decides, and the lists that name them.

use super::reading::Reading;
use super::section::{Place, Section, Text};
use super::text::nearest;
use super::{FaultKind, Person, Principal, environment, keys};
use crate::ids::PersonName;
use std::collections::BTreeMap;

pub(super) type People = BTreeMap<PersonName, Person>;

/// Where each person is, and whether they have a key `iam`, readable or not.
pub(super) type Places = BTreeMap<PersonName, (Place, bool)>;

const IAM: &str = "a role or user ARN, such as \"arn:aws:iam::123456789012:role/sso-ana\" (any session of the role), \
                   or with one session's name, such as \"role/sso-dev:ana@example.com\"";

pub(super) fn read(reading: &mut Reading<'_>, root: &Section<'_, '_>) -> (People, Places) {
    let mut people = People::new();
    let mut places = Places::new();
    let mut principals: Vec<(PersonName, Principal)> = Vec::new();
    let Some(section) = reading.section(root, "people") else {
        return (people, places);
    };
    for key in section.names() {
        let name = person_name(reading, &key);
        let Some(entry) = reading.section(&section, key.text) else {
            continue;
        };
        let person = person(reading, &entry);
        let Some(name) = name else { continue };
        if let Some(iam) = &person.iam {
            check_principal(reading, &entry.place_of("iam"), iam, &principals);
            principals.push((name.clone(), iam.clone()));
        }
        places.insert(name.clone(), (key.place, entry.has("iam")));
        people.insert(name, person);
    }
    (people, places)
}

fn person(reading: &mut Reading<'_>, entry: &Section<'_, '_>) -> Person {
    reading.keys(entry, &keys::PERSON);
    let iam = reading
        .text(entry, "iam")
        .and_then(|text| reading.parsed(&text, IAM, Principal::parse));
    let mut contact = |key| {
        let text = reading.text(entry, key)?;
        unused(reading, &text);
        Some(text.text.to_owned())
    };
    Person {
        iam,
        slack: contact("slack"),
        email: contact("email"),
        github: contact("github"),
    }
}

/// Says of a key that it is kept and does nothing: it must not be taken for a promise.
pub(super) fn unused(reading: &mut Reading<'_>, text: &Text<'_>) {
    let right = "leave it, if a later version is to find it";
    reading.fault(
        FaultKind::Warning,
        &text.place,
        text.quoted(),
        "is kept, but nothing in this version uses it",
        right,
    );
}

/// Two people with one principal could not be told apart, nor counted as two.
fn check_principal(
    reading: &mut Reading<'_>,
    place: &Place,
    iam: &Principal,
    others: &[(PersonName, Principal)],
) {
    if let Some((other, _)) = others.iter().find(|(_, principal)| principal.overlaps(iam)) {
        let problem = format!("could also be {other}");
        let right = "a principal that no other person has: a role of their own, or one session of a role";
        reading.fault(
            FaultKind::Conflict,
            place,
            Some(format!("\"{iam}\"")),
            problem,
            right,
        );
    }
}

fn person_name(reading: &mut Reading<'_>, text: &Text<'_>) -> Option<PersonName> {
    match PersonName::parse(text.text) {
        Ok(name) => Some(name),
        Err(error) => {
            reading.fault(
                FaultKind::Value,
                &text.place,
                text.quoted(),
                "is no person's name",
                error.right,
            );
            None
        }
    }
}

/// A list of people, with the place of each. None where the key is absent.
pub(super) fn list(
    reading: &mut Reading<'_>,
    section: &Section<'_, '_>,
    key: &str,
    people: &People,
) -> Option<Vec<(PersonName, Place)>> {
    let texts = reading.texts(section, key)?;
    if texts.is_empty() && !section.lists(key) {
        let problem = "is empty, so that nobody could";
        reading.fault(
            FaultKind::Value,
            &section.place_of(key),
            None,
            problem,
            "at least one person",
        );
    }
    Some(
        texts
            .into_iter()
            .filter_map(|text| listed(reading, text, people))
            .collect(),
    )
}

fn listed(reading: &mut Reading<'_>, text: Text<'_>, people: &People) -> Option<(PersonName, Place)> {
    let name = person_name(reading, &text)?;
    if !people.contains_key(&name) {
        let right = match nearest(text.text, people.keys().map(PersonName::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("an entry [people.{name}] with iam = \"<role or user ARN>\""),
        };
        reading.fault(
            FaultKind::Conflict,
            &text.place,
            text.quoted(),
            "has no entry in [people]",
            right,
        );
    }
    Some((name, text.place))
}

/// Whoever decides anything must be known by a principal.
pub(super) fn check_used(reading: &mut Reading<'_>, places: &Places, environments: &[environment::Read]) {
    for (name, (place, has_iam)) in places {
        let decides_in = environments
            .iter()
            .find(|environment| environment.deciders.contains(name));
        let Some(environment) = decides_in.filter(|_| !has_iam) else {
            continue;
        };
        let problem = format!(
            "{name} decides in {}, but has no iam: no caller could be them",
            environment.label
        );
        reading.fault(FaultKind::Conflict, place, None, problem, format!("iam = {IAM}"));
    }
}
