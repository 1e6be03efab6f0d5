//! What a chart lacks to be there twice.
use super::*;

/// Each object that one of these names is another.
fn edited(edit: fn(Track, &mut Vec<Value>)) -> BTreeMap<Track, Rendered> {
    rendered(|track| {
        let mut objects = good(track);
        edit(track, &mut objects);
        objects
    })
}

#[test]
fn what_a_chart_lacks() {
    type Edit = fn(Track, &mut Vec<Value>);
    let cases: [(&str, Edit, Case); 15] = [
        ("nothing", |_, _| {}, ALONE),
        (
            "names that follow nothing",
            |_, all| {
                *all = good(Track::Blue);
                all.push(json!({"kind": "ConfigMap", "metadata": {"name": "api-config"}}));
            },
            ALONE,
        ),
        (
            "selectors that are one",
            |_, all| {
                for (at, pointer) in [(0, "/spec/selector"), (1, "/spec/selector/matchLabels")] {
                    *all[at].pointer_mut(pointer).unwrap() = json!({"app.kubernetes.io/name": "api"});
                }
                let budget = json!({"matchLabels": {"app.kubernetes.io/name": "api"}});
                all.push(json!({"kind": "PodDisruptionBudget", "metadata": {"name": "api"},
                                "spec": {"selector": budget}}));
            },
            ALONE,
        ),
        ("no Service", |_, all| drop(all.remove(0)), ALONE),
        (
            "a Service of another name",
            |track, all| all[0]["metadata"]["name"] = json!(format!("{track}-web")),
            ALONE,
        ),
        (
            "two Services",
            |track, all| {
                let mut other = all[0].clone();
                other["metadata"]["name"] = json!(track.of("mc-admin"));
                all.push(other);
            },
            ALONE,
        ),
        (
            "the strategy names another",
            |_, _| {},
            Case {
                service: Some("web"),
                ..ALONE
            },
        ),
        (
            "what must not be there twice",
            |track, all| {
                for kind in ["StatefulSet", "DaemonSet", "CronJob", "Ingress", "HTTPRoute"] {
                    all.push(json!({"kind": kind, "metadata": {"name": track.of("x")}}));
                }
            },
            ALONE,
        ),
        (
            "an address of the outside",
            |_, all| all[0]["spec"]["type"] = json!("LoadBalancer"),
            ALONE,
        ),
        (
            "an old autoscaler",
            |_, all| all[2]["apiVersion"] = json!("autoscaling/v1"),
            ALONE,
        ),
        (
            "a Deployment with a name of chance",
            |track, all| {
                let name = if track == Track::Blue {
                    "worker-1a"
                } else {
                    "worker-2b"
                };
                all.push(deployment(name, &json!({"worker": name}), "worker:1"));
            },
            ALONE,
        ),
        (
            "what is there selects its pods",
            |_, _| {},
            Case {
                root: Some(service("mc-api", json!({"app.kubernetes.io/name": "api"}))),
                before: vec![deployment(
                    "mc-api",
                    &json!({"app.kubernetes.io/name": "api"}),
                    "api:1",
                )],
                adopts: true,
                ..ALONE
            },
        ),
        (
            "what is there is known by another Service",
            |_, _| {},
            Case {
                before: vec![
                    deployment("api", &json!({"app": "old"}), "api:1"),
                    service("web", json!({"app": "old"})),
                ],
                adopts: true,
                ..ALONE
            },
        ),
        (
            "the live track is of a chart before",
            |track, all| {
                if track == Track::Green {
                    return;
                }
                let labels = json!({"app.kubernetes.io/instance": "mc-api-blue", "old": "yes", "app.kubernetes.io/name": "api"});
                *all[1].pointer_mut("/spec/template/metadata/labels").unwrap() = labels;
            },
            Case {
                live: vec![
                    deployment(
                        "mc-api-green",
                        &json!({"app.kubernetes.io/name": "api", "old": "yes"}),
                        "api:1",
                    ),
                    service("mc-api-green", json!({"old": "yes"})),
                ],
                ..ALONE
            },
        ),
        (
            "what is there has its names",
            |_, _| {},
            Case {
                before: vec![json!({"kind": "Service", "metadata": {"name": "mc-api-blue"}})],
                ..ALONE
            },
        ),
    ];
    let mut told = String::new();
    for (what, edit, case) in cases {
        let said = match judged(&edited(edit), &case) {
            Ok(_) => vec!["nothing".to_owned()],
            Err(Lacks(all)) => all.iter().map(ToString::to_string).collect(),
        };
        told += &format!("{what}:\n  {}\n", said.join("\n  "));
    }
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!("what_a_chart_lacks", told) });
}
