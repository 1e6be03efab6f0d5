//! Which keys there are, table by table; which are for a later version; and what to say of any other.

use super::text::nearest;

/// The keys of one table of the file.
pub(super) struct Keys {
    /// How people write the table's header.
    pub table: &'static str,
    /// What this version implements.
    pub known: &'static [&'static str],
    /// What the design knows and this version refuses, with what to do instead.
    pub later: &'static [(&'static str, &'static str)],
}

const LEAVE_OUT: &str = "leave it out";

pub(super) const ROOT: Keys = Keys {
    table: "the top of the file",
    known: &["service", "source", "workload", "environment", "people"],
    later: &[("flags", LEAVE_OUT)],
};

pub(super) const SOURCE: Keys = Keys {
    table: "[source]",
    known: &["repository", "tags", "github"],
    later: &[],
};

pub(super) const WORKLOAD: Keys = Keys {
    table: "[workload]",
    known: &["deployment", "helm"],
    later: &[("argo_cd", "[workload.deployment] or [workload.helm]")],
};

pub(super) const DEPLOYMENT: Keys = Keys {
    table: "[workload.deployment]",
    known: &["manifests", "names", "container"],
    later: &[],
};

pub(super) const HELM: Keys = Keys {
    table: "[workload.helm]",
    known: &["chart", "image", "replicas", "release", "history_limit", "tracks"],
    later: &[],
};

/// `image` of a helm workload, where it is a table.
pub(super) const IMAGE: Keys = Keys {
    table: "[workload.helm.image]",
    known: &["repository", "digest", "tag", "reference"],
    later: &[],
};

/// What `before`, `verify` and `preview` list.
pub(super) const CHECK: Keys = Keys {
    table: "an entry of `before`, `verify` or `preview`",
    known: &[
        "job",
        "lambda",
        "webhook",
        "secret",
        "answered_by",
        "helm_test",
        "name",
        "timeout",
    ],
    later: &[],
};

pub(super) const ENVIRONMENT: Keys = Keys {
    table: "[[environment]]",
    known: &[
        "name",
        "cluster",
        "namespace",
        "region",
        "role",
        "manifests",
        "strategy",
        "timeout",
        "rollback_within",
        "approval",
        "operators",
        "values",
        "secret_values",
        "helm_role",
        "scale",
        "before",
        "verify",
        "hold_for",
        "on_drift",
        "alarms",
        "watch",
    ],
    later: &[
        ("gates", LEAVE_OUT),
        ("flags", LEAVE_OUT),
        (
            "on_newer",
            "leave it out: a release that waits is kept, and the newest one behind it",
        ),
        ("waves", "one [[environment]] for each cluster"),
    ],
};

pub(super) const APPROVAL: Keys = Keys {
    table: "[environment.approval]",
    known: &["approvers", "quorum", "four_eyes", "expires"],
    later: &[(
        "on_newer",
        "leave it out: a release that waits is kept, and the newest one behind it",
    )],
};

pub(super) const PERSON: Keys = Keys {
    table: "[people.<name>]",
    known: &["iam", "slack", "email", "github"],
    later: &[],
};

/// `strategy`, where it is a table.
pub(super) const STRATEGY: Keys = Keys {
    table: "[environment.strategy]",
    known: &["canary", "blue_green"],
    later: &[],
};

pub(super) const CANARY: Keys = Keys {
    table: "[environment.strategy.canary]",
    known: &["router", "service", "steps", "requests"],
    later: &[],
};

pub(super) const BLUE_GREEN: Keys = Keys {
    table: "[environment.strategy.blue_green]",
    known: &["router", "service", "preview"],
    later: &[],
};

pub(super) const STEP: Keys = Keys {
    table: "an entry of `steps`",
    known: &["weight", "bake", "pause"],
    later: &[],
};

/// `router`, where it is a table.
pub(super) const ROUTER: Keys = Keys {
    table: "`router`",
    known: &["http_route", "alb_ingress", "action"],
    later: &[],
};

pub(super) const REQUESTS: Keys = Keys {
    table: "`requests`",
    known: &["metric", "dimensions", "at_least"],
    later: &[],
};

pub(super) const ALL: [&Keys; 16] = [
    &ROOT,
    &SOURCE,
    &WORKLOAD,
    &DEPLOYMENT,
    &ENVIRONMENT,
    &APPROVAL,
    &PERSON,
    &HELM,
    &IMAGE,
    &CHECK,
    &STRATEGY,
    &CANARY,
    &BLUE_GREEN,
    &STEP,
    &ROUTER,
    &REQUESTS,
];

/// What a key is in a table.
pub(super) enum Standing {
    Known,
    /// With what to do instead.
    Later(&'static str),
    /// With what would be right.
    Unknown(String),
}

impl Keys {
    pub(super) fn standing(&self, key: &str) -> Standing {
        if self.known.contains(&key) {
            return Standing::Known;
        }
        match self.later.iter().find(|(name, _)| *name == key) {
            Some((_, instead)) => Standing::Later(instead),
            None => Standing::Unknown(self.advice(key)),
        }
    }

    /// What to say of a key that is not one: the near one here, its table elsewhere, or all there are.
    fn advice(&self, key: &str) -> String {
        let elsewhere = ALL.iter().find(|table| table.known.contains(&key));
        let elsewhere = elsewhere.map(|table| {
            format!(
                "`{key}` is a key of {}, and a key belongs to the [header] above it",
                table.table
            )
        });
        if let Some(known) = nearest(key, self.known.iter().copied()) {
            let or = elsewhere
                .map(|elsewhere| format!(" Else: {elsewhere}"))
                .unwrap_or_default();
            return format!("did you mean `{known}`?{or}");
        }
        if let Some((later, _)) = self
            .later
            .iter()
            .find(|(later, _)| nearest(key, [*later]).is_some())
        {
            return format!("leave it out; `{later}` is known, but not in this version of Sluice");
        }
        elsewhere.unwrap_or_else(|| format!("one of {}", self.known.join(", ")))
    }
}
