//! Tracks and alarms of an environment, below the table of `sluice status`.

use crate::text::{ago, count, left, plain_line, release, wrapped};
use jiff::Timestamp;
use owo_colors::OwoColorize;
use sluice_domain::alarm::AlarmState;
use sluice_domain::api::{AlarmStatus, EnvironmentStatus, TrackState, TrackStatus};
use sluice_domain::tracks::Track;

/// A line for each track.
pub fn tracks_text(environment: &EnvironmentStatus, width: u16, now: Timestamp) -> String {
    if environment.tracks.is_empty() {
        return String::new();
    }
    let mut text = format!("\ntracks of {}:\n", environment.name);
    for track in &environment.tracks {
        text.push_str(&wrapped(&track_line(track, now), width, 2, 4));
    }
    text
}

/// `green   25 %  #43, coming`
fn track_line(track: &TrackStatus, now: Timestamp) -> String {
    let place = track.track.map_or("before", Track::as_str);
    let state = match track.state {
        TrackState::Live => "live".green().to_string(),
        TrackState::Coming => "coming".cyan().to_string(),
        TrackState::Leaving => "going back".yellow().to_string(),
        TrackState::Warm => "warm".to_owned(),
        TrackState::Cooling => "giving its pods back".dimmed().to_string(),
        TrackState::Cold => "without pods".dimmed().to_string(),
    };
    let warm = track
        .warm_until
        .map(|until| format!(", {}", left(until, now)))
        .unwrap_or_default();
    let pods = track
        .pods
        .map(|pods| format!(", {}", count(u64::from(pods), "pod", "pods")));
    format!(
        "{place:<6} {:>3} %  {}, {state}{}{warm}",
        track.weight,
        release(track.release),
        pods.unwrap_or_default()
    )
}

/// A line for each alarm of what is rolled out or watched.
pub fn alarms_text(environment: &EnvironmentStatus, width: u16, now: Timestamp) -> String {
    if environment.alarms.is_empty() {
        return String::new();
    }
    let mut text = format!("\nalarms of {}:\n", environment.name);
    for alarm in &environment.alarms {
        text.push_str(&wrapped(&alarm_text(alarm, now), width, 2, 4));
    }
    text
}

/// `mc-api-5xx: ALARM since 3 m ago: Threshold Crossed`
pub fn alarm_text(alarm: &AlarmStatus, now: Timestamp) -> String {
    let state = match alarm.state {
        Some(AlarmState::Ok) => "OK".green().to_string(),
        Some(AlarmState::Alarm) => "ALARM".red().to_string(),
        Some(AlarmState::InsufficientData) => "INSUFFICIENT_DATA".yellow().to_string(),
        None if alarm.reason.is_some() => "not known".yellow().to_string(),
        None => "not looked at yet".to_owned(),
    };
    let since = alarm.since.map(|since| format!(", {}", ago(since, now)));
    let reason = alarm
        .reason
        .as_ref()
        .map(|reason| format!(": {}", plain_line(reason)));
    let despite = if alarm.despite { "; set aside" } else { "" };
    format!(
        "{}: {state}{}{}{despite}",
        plain_line(&alarm.name),
        since.unwrap_or_default(),
        reason.unwrap_or_default()
    )
}
