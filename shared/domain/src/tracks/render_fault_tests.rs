//! What cannot be on a track.
use super::*;

fn fault(bundle: &Bundle) -> String {
    on_track(bundle, Track::Green).unwrap_err().to_string()
}

#[test]
fn what_cannot_be_on_a_track_is_told_with_what_would_be_right() {
    let with = |change: &dyn Fn(&mut Bundle)| {
        let mut changed = bundle();
        change(&mut changed);
        fault(&changed)
    };
    let long = "m".repeat(58);
    let said = [
        with(&|bundle| bundle.deployments[0].manifest["spec"]["selector"] = json!({})),
        with(&|bundle| bundle.deployments[0].manifest["spec"]["selector"]["matchLabels"] = json!({})),
        with(&|bundle| {
            let by = json!([{"key": "app", "operator": "Exists"}]);
            bundle.deployments[0].manifest["spec"]["selector"]["matchExpressions"] = by;
        }),
        with(&|bundle| bundle.deployments[0].name = long.clone()),
        with(&|bundle| bundle.objects[0]["metadata"]["name"] = json!(long)),
        with(&|bundle| bundle.objects[2]["metadata"]["name"] = json!(long)),
        with(&|bundle| {
            let deployment = &mut bundle.deployments[0].manifest;
            deployment["spec"]["selector"]["matchLabels"]["app"] = json!(long);
            deployment["spec"]["template"]["metadata"]["labels"]["app"] = json!(long);
        }),
        with(&|bundle| bundle.objects[0]["spec"]["type"] = json!("ExternalName")),
        with(&|bundle| {
            let by = json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["mc-api"]}]});
            bundle.objects[2]["spec"]["selector"] = by;
        }),
        with(&|bundle| {
            let by = json!({"podSelector": {"matchLabels": {"app": "mc-api"}}, "policyTypes": ["Ingress"]});
            bundle
                .objects
                .push(json!({"kind": "NetworkPolicy", "metadata": {"name": "closed"}, "spec": by}));
        }),
        with(&|bundle| {
            let mut other = bundle.deployments[0].clone();
            other.name = "mc-api-green".into();
            bundle.deployments.push(other);
        }),
        with(&|bundle| {
            let mut other = bundle.objects[0].clone();
            other["metadata"]["name"] = json!("mc-api-green");
            other["spec"]["selector"] = json!({"app": "somebody-else"});
            bundle.objects.push(other);
        }),
        with(&|bundle| {
            // What it selects is what the pods of the track are called.
            let mut other = bundle.deployments[0].clone();
            other.name = "mc-second".into();
            let pods = json!({"app": "mc-api-green"});
            other.manifest["spec"]["selector"]["matchLabels"] = pods.clone();
            other.manifest["spec"]["template"]["metadata"]["labels"] = pods;
            bundle.deployments.push(other);
        }),
    ];
    insta::assert_snapshot!(said.join("\n"), @r"
    deployment mc-api has no selector with matchLabels, so that a track of it could select nothing: give it one
    deployment mc-api has no selector with matchLabels, so that a track of it could select nothing: give it one
    deployment mc-api selects its pods by matchExpressions: use matchLabels, which each track gets of its own
    Deployment mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm is too long for tracks: `mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm-green` has more than 63 characters
    Service mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm is too long for tracks: `mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm-green` has more than 63 characters
    object mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm is too long for tracks: `mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm-green` has more than 63 characters
    label app of deployment mc-api is too long for tracks: `mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm-green` has more than 63 characters
    Service mc-api cannot be on two tracks: it is of type ExternalName
    PodDisruptionBudget mc-api cannot be on two tracks: it would not select the pods of a track: select them by a label that no Service, Deployment or PodDisruptionBudget selects by
    NetworkPolicy closed cannot be on two tracks: it would not select the pods of a track: select them by a label that no Service, Deployment or PodDisruptionBudget selects by
    Deployment mc-api cannot be on two tracks: another one has the name that it has on a track
    Service mc-api cannot be on two tracks: another one has the name that it has on a track
    Deployment mc-second cannot be on two tracks: it would select the pods of a track too: a value of its labels ends like a track's
    ");
}
