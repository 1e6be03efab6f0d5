//! What alarms say of a release.

use super::{
    AlarmState, AlarmsSeen, Blame, Counted, Judgement, RequestsSeen, SeenAlarm, Sight, StateChange, Window,
    moment, told,
};
use crate::workload::Verdict;

/// What one alarm says.
enum Said {
    Nothing,
    Blames(Blame),
    Untold(String),
}

/// What the alarms say of a release that has traffic since `window.shifted_at`.
///
/// An ALARM since the shift fails, also where it is OK again. One that stands since before the shift cannot blame the release,
/// and does not let it pass either, unless it is among `despite`: a person said that the release goes on in spite of it. That
/// one blames only by going into ALARM anew after it was OK. What is missing, unreadable, without data or evaluated in part is
/// inconclusive, and so are all alarms where there were too few requests.
pub fn judge(
    wanted: &[String],
    seen: &AlarmsSeen,
    requests: Option<&RequestsSeen>,
    window: Window,
    despite: &[String],
) -> Judgement {
    let mut blames = Vec::new();
    let mut untold = Vec::new();
    for alarm in wanted {
        match said(alarm, seen.of(alarm), window, despite.contains(alarm)) {
            Said::Nothing => {}
            Said::Blames(blame) => blames.push(blame),
            Said::Untold(why) => untold.push(why),
        }
    }
    untold.extend(requests.and_then(|requests| too_few(requests, window)));
    untold.dedup();
    if let Some(blame) = blames
        .into_iter()
        .min_by(|one, other| order(one).cmp(&order(other)))
    {
        return Judgement {
            verdict: Verdict::Failed(blame.to_string()),
            blame: Some(blame),
        };
    }
    let verdict = match untold.is_empty() {
        true => Verdict::Passed,
        false => Verdict::Inconclusive(untold.join("; ")),
    };
    Judgement { verdict, blame: None }
}

/// Why traffic is not shifted yet: an alarm that stands in ALARM before could not blame the release, and one that is missing
/// or unreadable could never let it pass. None where nothing is in the way. INSUFFICIENT_DATA is not: what only traffic brings
/// has no data before there is traffic.
pub fn standing_before(wanted: &[String], seen: &AlarmsSeen, despite: &[String]) -> Option<String> {
    let mut reasons: Vec<String> = Vec::new();
    for alarm in wanted {
        reasons.extend(match seen.of(alarm) {
            Sight::Seen(found) if found.state == AlarmState::Alarm && !despite.contains(alarm) => {
                Some(format!(
                    "alarm {alarm} is in ALARM since {}{}, before this release got any traffic",
                    moment(found.since),
                    told(&found.reason)
                ))
            }
            Sight::Seen(_) => None,
            unseen => without_sight(alarm, unseen),
        });
    }
    reasons.dedup();
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

fn order(blame: &Blame) -> (jiff::Timestamp, &str, &str) {
    (blame.at, &blame.alarm, &blame.reason)
}

fn said(alarm: &str, sight: &Sight, window: Window, despite: bool) -> Said {
    let Sight::Seen(found) = sight else {
        return without_sight(alarm, sight).map_or(Said::Nothing, Said::Untold);
    };
    let blame = match despite {
        false => turned(found, window)
            .chain(turned_now(found, window))
            .min_by(earlier),
        true => turned(found, window)
            .filter(|change| was_ok_before(found, change, window))
            .min_by(earlier),
    };
    if let Some(change) = blame {
        return Said::Blames(Blame {
            alarm: alarm.to_owned(),
            at: change.at,
            reason: change.reason,
        });
    }
    untold(alarm, found, window, despite).map_or(Said::Nothing, Said::Untold)
}

fn earlier(one: &StateChange, other: &StateChange) -> std::cmp::Ordering {
    (one.at, &one.reason).cmp(&(other.at, &other.reason))
}

/// Its changes into ALARM since the shift.
fn turned(found: &SeenAlarm, window: Window) -> impl Iterator<Item = StateChange> {
    let fresh = move |change: &&StateChange| {
        change.to == AlarmState::Alarm
            && change.from != Some(AlarmState::Alarm)
            && change.at >= window.shifted_at
    };
    found.changes.iter().filter(fresh).cloned()
}

/// The change into the state that it has: its history may come later than its state.
fn turned_now(found: &SeenAlarm, window: Window) -> Option<StateChange> {
    let turned = found.state == AlarmState::Alarm && found.since >= window.shifted_at;
    turned.then(|| StateChange {
        at: found.since,
        from: None,
        to: AlarmState::Alarm,
        reason: found.reason.clone(),
    })
}

/// Whether it was OK between the shift and this change: then the change is news, also of an alarm that stood before.
fn was_ok_before(found: &SeenAlarm, change: &StateChange, window: Window) -> bool {
    let ok = Some(AlarmState::Ok);
    let inside = |one: &&StateChange| (window.shifted_at..=change.at).contains(&one.at);
    change.from == ok
        || found
            .changes
            .iter()
            .filter(inside)
            .any(|one| one.from == ok || Some(one.to) == ok)
}

/// Why it says nothing of the release. `despite` leaves out what a person said does not matter: that it stands, or has no
/// data any more.
fn untold(alarm: &str, found: &SeenAlarm, window: Window, despite: bool) -> Option<String> {
    if let Some(why) = &found.changes_incomplete {
        return Some(format!("the history of alarm {alarm} cannot be read: {why}"));
    }
    // Blamed it would be otherwise: so nothing says yet what it turned from.
    if found.state == AlarmState::Alarm
        && found.since >= window.shifted_at
        && turned(found, window).next().is_none()
    {
        return Some(format!(
            "alarm {alarm} is in ALARM since {}, and its history does not say yet what it was before",
            moment(found.since)
        ));
    }
    if despite {
        return None;
    }
    let why = told(&found.reason);
    if let Some(evaluation) = &found.evaluation {
        return Some(format!(
            "alarm {alarm} was not evaluated in full ({evaluation}){why}"
        ));
    }
    match found.state {
        AlarmState::Ok => None,
        AlarmState::Alarm => Some(format!(
            "alarm {alarm} is in ALARM since {}, before the release got its traffic{why}",
            moment(found.since)
        )),
        AlarmState::InsufficientData => Some(format!(
            "alarm {alarm} has INSUFFICIENT_DATA since {}{why}",
            moment(found.since)
        )),
    }
}

fn without_sight(alarm: &str, sight: &Sight) -> Option<String> {
    match sight {
        Sight::Seen(_) => None,
        Sight::Missing => Some(format!("alarm {alarm} does not exist")),
        Sight::Unreadable(why) => Some(format!("alarm {alarm} cannot be read: {why}")),
    }
}

fn too_few(requests: &RequestsSeen, window: Window) -> Option<String> {
    let at_least = requests.at_least;
    match &requests.counted {
        Counted::Count(count) if *count >= u64::from(at_least) => None,
        Counted::Count(count) => {
            let seconds = window.now.duration_since(window.shifted_at).as_secs().max(0);
            Some(format!(
                "{count} requests in the {seconds} s since the shift: below {at_least} the alarms say nothing"
            ))
        }
        Counted::Unreadable(why) => Some(format!("the number of requests cannot be read: {why}")),
    }
}
