//! What can be wrong with a router's object: what was found, and what would be right.

use serde::{Deserialize, Serialize};

/// Why a router's object cannot be read or written in the words of two tracks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum RouterFault {
    /// There is no such object.
    #[error("{object} does not exist: create it, or correct `router` in the pipeline file")]
    Missing {
        /// The object.
        object: String,
    },
    /// The cluster does not know the kind.
    #[error(
        "the cluster knows no {kind}: install what serves it (the Gateway API's definitions, v1 or newer), or choose another \
         `router` in the pipeline file"
    )]
    NoKind {
        /// The kind.
        kind: String,
    },
    /// A field is not of the form that its API gives it.
    #[error("{object}: {field} is {found}, and should be {wanted}")]
    Shape {
        /// The object.
        object: String,
        /// The field.
        field: String,
        /// What it is.
        found: String,
        /// What it should be.
        wanted: String,
    },
    /// No rule names one of the Services.
    #[error("{object} names {found}, and none of {ours}: let one of its rules name Service {root}")]
    NotNamed {
        /// The object.
        object: String,
        /// The backends that it names.
        found: String,
        /// The Services of which it should name one.
        ours: String,
        /// The one to begin with.
        root: String,
    },
    /// Another backend has a part of the traffic in a rule that names one of the Services.
    #[error(
        "{object} also gives traffic to {found}: only {ours} may have a weight in a rule that names one of them"
    )]
    OtherBackends {
        /// The object.
        object: String,
        /// The others, with their weights.
        found: String,
        /// The Services that may have one.
        ours: String,
    },
    /// A Service is named twice in one list.
    #[error("{object}: {field} names Service {service} more than once: name it once, with one port")]
    Twice {
        /// The object.
        object: String,
        /// The list.
        field: String,
        /// The Service.
        service: String,
    },
    /// Its rules share differently.
    #[error("{object}: {found}: give every rule that names one of {ours} the same weights")]
    Disagree {
        /// The object.
        object: String,
        /// What each rule says.
        found: String,
        /// The Services.
        ours: String,
    },
    /// Every weight is 0.
    #[error(
        "{object}: {field} has no weight above 0, so that no request is answered: give one backend a weight"
    )]
    NoTraffic {
        /// The object.
        object: String,
        /// The list.
        field: String,
    },
    /// A weight is missing where there must be one, or is none.
    #[error("{object}: {field} is {found}, and should be a whole number from 0 to {most}")]
    Weight {
        /// The object.
        object: String,
        /// The field.
        field: String,
        /// What it is.
        found: String,
        /// The highest one.
        most: u64,
    },
    /// With both tracks there are more backends than the API takes.
    #[error(
        "{object}: {field} would have {count} backends with both tracks, and may have {most}: take others out"
    )]
    TooMany {
        /// The object.
        object: String,
        /// The list.
        field: String,
        /// How many there would be.
        count: usize,
        /// How many there may be.
        most: usize,
    },
    /// The weights to write are not 100 together.
    #[error("{object}: weights of {total} % together cannot be written: they must be 100 together")]
    Total {
        /// The object.
        object: String,
        /// Their sum.
        total: u64,
    },
    /// The Ingress has no such action.
    #[error(
        "{object} has no annotation {annotation} (it has {found}): add it with the value {wanted}, or correct `action` in the \
         pipeline file"
    )]
    NoAction {
        /// The object.
        object: String,
        /// The annotation.
        annotation: String,
        /// The actions that it has.
        found: String,
        /// What the annotation could say.
        wanted: String,
    },
    /// The action is there, and no path leads to it.
    #[error(
        "{object}: no path leads to action {action}: give one the backend service name {action} with the port name \
         use-annotation"
    )]
    ActionUnused {
        /// The object.
        object: String,
        /// The action.
        action: String,
    },
    /// Another action names a Service of a track.
    #[error("{object}: {found} also name a Service of a track: only {annotation} may name {ours}")]
    SeveralActions {
        /// The object.
        object: String,
        /// The other annotations.
        found: String,
        /// The one that may.
        annotation: String,
        /// The Services.
        ours: String,
    },
    /// The annotation cannot be read.
    #[error("{object}: annotation {annotation} is no JSON ({reason}): correct it, for example to {wanted}")]
    NotJson {
        /// The object.
        object: String,
        /// The annotation.
        annotation: String,
        /// Why.
        reason: String,
        /// What it could say.
        wanted: String,
    },
    /// The action does not forward to weighted target groups.
    #[error("{object}: annotation {annotation} is {found}, and should forward to Services: {wanted}")]
    NotForward {
        /// The object.
        object: String,
        /// The annotation.
        annotation: String,
        /// What it does.
        found: String,
        /// What it could say.
        wanted: String,
    },
    /// Clients are kept on the track that they met first.
    #[error(
        "{object}: annotation {annotation} keeps a client on one target group (targetGroupStickinessConfig), so that a rollback \
         would not move it: set `enabled` to false there"
    )]
    Sticky {
        /// The object.
        object: String,
        /// The annotation.
        annotation: String,
    },
    /// The load balancer would ask nodes for their health and not pods.
    #[error(
        "{object}: alb.ingress.kubernetes.io/target-type is {found}: set it to ip, so that the load balancer's health is that \
         of a track's pods"
    )]
    TargetType {
        /// The object.
        object: String,
        /// What it is.
        found: String,
    },
    /// A selector gives everything or nothing.
    #[error(
        "{object} selects one track, so that {found} cannot be written: use `http_route` or `alb_ingress` for steps"
    )]
    NotWhole {
        /// The object.
        object: String,
        /// The weights.
        found: String,
    },
    /// The Service has no selector.
    #[error(
        "{object} selects no pods ({found}): give it a selector, or name another `service` in the pipeline file"
    )]
    NoSelector {
        /// The object.
        object: String,
        /// What it is instead.
        found: String,
    },
    /// The Service of a track is not there, or says nothing.
    #[error(
        "Service {service} does not exist or selects nothing: it must be there before {object} is pointed at it"
    )]
    NoTrackService {
        /// The object.
        object: String,
        /// The Service of the track.
        service: String,
    },
    /// The selector names a track otherwise than the track's own Service.
    #[error("{object} selects {found}, which is neither what a track's Service selects nor free of {label}")]
    Selector {
        /// The object.
        object: String,
        /// What it selects.
        found: String,
        /// The label of tracks.
        label: String,
    },
    /// What was selected before there were tracks is not known any more.
    #[error(
        "{object} has no readable annotation {annotation} that says what it selected before there were tracks: point it by hand \
         with `kubectl set selector`"
    )]
    NoOriginal {
        /// The object.
        object: String,
        /// The annotation.
        annotation: String,
    },
}
