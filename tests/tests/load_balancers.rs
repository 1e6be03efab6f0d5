//! Reading a load balancer: from the local AWS, and in pages from a stand-in that answers as the API reference says.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::{StatusCode, Uri};
use axum::routing::post;
use serde_json::Value;
use sluice_aws::AwsPlace;
use sluice_domain::router::{ListenerRule, Target};
use sluice_load_balancers::{LoadBalancers, LoadBalancersError};
use sluice_local::Environment;
use sluice_tests::alone::{cleaned, unique};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::process::Command;

const CLUSTER: &str = "mc-prod-eks";

fn reader(endpoint: &str, region: &str) -> LoadBalancers {
    let credentials = Credentials::new("test", "test", None, None, "root");
    let config: SdkConfig = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::new(region.to_owned()))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build();
    LoadBalancers::new(&config)
}

async fn elbv2(local: &Environment, arguments: &[&str]) -> Value {
    let mut command = Command::new(local.sam_bin.join("aws"));
    let output = command
        .envs(local.variables())
        .args(["--output", "json", "elbv2"])
        .args(arguments)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "aws elbv2 {arguments:?}: {said}");
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).unwrap().as_str().unwrap().to_owned()
}

/// A load balancer with one listener and one rule, and target groups as the controller tags them.
struct Made {
    arn: String,
    listener: String,
    hostname: String,
    groups: BTreeMap<String, String>,
}

async fn make(local: &Environment, name: &str) -> Made {
    let load_balancer = elbv2(
        local,
        &[
            "create-load-balancer",
            "--name",
            name,
            "--subnets",
            "subnet-1",
            "subnet-2",
        ],
    )
    .await;
    let arn = text(&load_balancer, "/LoadBalancers/0/LoadBalancerArn");
    let mut groups = BTreeMap::new();
    for (service, kind) in [
        ("api", "ip"),
        ("api-blue", "ip"),
        ("api-green", "instance"),
        ("docs", "ip"),
    ] {
        let of_group = format!("{name}-{service}").replace("api-", "");
        let resource = if service == "docs" {
            "production/other-docs:80".to_owned()
        } else {
            format!("production/front-{service}:80")
        };
        let tags = [
            format!("Key=elbv2.k8s.aws/cluster,Value={CLUSTER}"),
            format!("Key=ingress.k8s.aws/resource,Value={resource}"),
        ];
        let made = elbv2(
            local,
            &[
                "create-target-group",
                "--name",
                &of_group,
                "--target-type",
                kind,
                "--protocol",
                "HTTP",
                "--port",
                "80",
                "--vpc-id",
                "vpc-1",
                "--tags",
                &tags[0],
                &tags[1],
            ],
        )
        .await;
        groups.insert(service.to_owned(), text(&made, "/TargetGroups/0/TargetGroupArn"));
    }
    let default = format!("Type=forward,TargetGroupArn={}", groups["docs"]);
    let listener = elbv2(
        local,
        &[
            "create-listener",
            "--load-balancer-arn",
            &arn,
            "--protocol",
            "HTTP",
            "--port",
            "8080",
            "--default-actions",
            &default,
        ],
    )
    .await;
    let actions = format!(
        "Type=forward,ForwardConfig={{TargetGroups=[{{TargetGroupArn={},Weight=3}},{{TargetGroupArn={},Weight=0}}]}}",
        groups["api-blue"], groups["api"]
    );
    let listener = text(&listener, "/Listeners/0/ListenerArn");
    elbv2(
        local,
        &[
            "create-rule",
            "--listener-arn",
            &listener,
            "--priority",
            "1",
            "--conditions",
            "Field=path-pattern,Values=/*",
            "--actions",
            &actions,
        ],
    )
    .await;
    elbv2(
        local,
        &[
            "register-targets",
            "--target-group-arn",
            &groups["api-blue"],
            "--targets",
            "Id=10.0.0.1,Port=8080",
        ],
    )
    .await;
    Made {
        arn,
        listener,
        hostname: text(&load_balancer, "/LoadBalancers/0/DNSName"),
        groups,
    }
}

#[tokio::test]
async fn rules_and_health_of_an_ingress_are_read() {
    let local = Environment::load().unwrap();
    let name: String = unique("lb")
        .chars()
        .rev()
        .take(18)
        .collect::<String>()
        .replace('-', "x");
    let made = make(&local, &name).await;
    let test = async {
        let reader = reader(&local.endpoint, &local.region);
        let found = reader
            .read(
                &AwsPlace::default(),
                CLUSTER,
                "production/front",
                &made.hostname.to_uppercase(),
            )
            .await
            .unwrap()
            .unwrap();
        assert_eq!(found.name, name);
        let group = |service: &str| made.groups[service].clone();
        let ours = ListenerRule {
            name: "port 8080, priority 1".to_owned(),
            weights: [(group("api-blue"), 3), (group("api"), 0)].into(),
        };
        let default = ListenerRule {
            name: "port 8080, priority default".to_owned(),
            weights: [(group("docs"), 1)].into(),
        };
        assert_eq!(found.rules.len(), 2, "{found:?}");
        assert!(
            found.rules.contains(&ours) && found.rules.contains(&default),
            "{found:?}"
        );
        // Those that no rule names, and another Ingress's, are left out.
        let mut groups = found.target_groups.clone();
        groups.retain(|one| one.arn != group("api"));
        let [blue] = groups.as_slice() else {
            panic!("{found:?}");
        };
        assert_eq!(
            (blue.arn.as_str(), blue.target_type.as_str()),
            (group("api-blue").as_str(), "ip")
        );
        assert_eq!(blue.resource.as_deref(), Some("production/front-api-blue:80"));
        let target = Target {
            id: "10.0.0.1:8080".to_owned(),
            // Nobody has said here what its health check would find.
            state: "initial".to_owned(),
            reason: Some("Elb.RegistrationInProgress".to_owned()),
        };
        assert_eq!(blue.targets, [target]);

        let other = reader
            .read(
                &AwsPlace::default(),
                "another-cluster",
                "production/front",
                &made.hostname,
            )
            .await
            .unwrap()
            .unwrap();
        assert_eq!(other.target_groups, []);
        assert_eq!(
            reader
                .read(
                    &AwsPlace::default(),
                    CLUSTER,
                    "production/front",
                    "gone.elb.amazonaws.com"
                )
                .await
                .unwrap(),
            None
        );
    };
    let cleanup = async {
        elbv2(&local, &["delete-listener", "--listener-arn", &made.listener]).await;
        elbv2(
            &local,
            &["delete-load-balancer", "--load-balancer-arn", &made.arn],
        )
        .await;
        for group in made.groups.values() {
            elbv2(&local, &["delete-target-group", "--target-group-arn", group]).await;
        }
    };
    cleaned(test, cleanup).await;
}

/// What was asked, in order.
type Asked = Arc<Mutex<Vec<BTreeMap<String, String>>>>;

/// Answers in two pages wherever the API has pages, and describes at most 20 tagged resources at a time.
async fn in_pages(State(asked): State<Asked>, body: String) -> (StatusCode, String) {
    let uri: Uri = format!("/?{body}").parse().unwrap();
    let Query(form) = Query::<BTreeMap<String, String>>::try_from_uri(&uri).unwrap();
    asked.lock().unwrap().push(form.clone());
    let action = form["Action"].clone();
    let second = form.contains_key("Marker");
    let page = |list: &str, first: String, other: String| {
        let marker = if second {
            ""
        } else {
            "<NextMarker>more</NextMarker>"
        };
        format!("<{list}>{}</{list}>{marker}", if second { other } else { first })
    };
    let arns = || {
        form.iter()
            .filter(|(key, _)| key.contains("Arns.member"))
            .map(|(_, arn)| arn.clone())
    };
    let rule = |place: usize| {
        format!(
            "<member><Priority>{place}</Priority><Actions><member><Type>forward</Type><ForwardConfig><TargetGroups>\
             <member><TargetGroupArn>arn:{place}</TargetGroupArn><Weight>{place}</Weight></member>\
             <member><TargetGroupArn>arn:0</TargetGroupArn><Weight>0</Weight></member></TargetGroups></ForwardConfig>\
             </member></Actions></member>"
        )
    };
    let rules = |places: std::ops::Range<usize>| places.map(rule).collect::<String>();
    let inner = match action.as_str() {
        "DescribeLoadBalancers" => page(
            "LoadBalancers",
            "<member><LoadBalancerArn>arn:lb0</LoadBalancerArn><DNSName>other</DNSName></member>".to_owned(),
            "<member><LoadBalancerArn>arn:lb1</LoadBalancerArn><DNSName>ours</DNSName></member>".to_owned(),
        ),
        "DescribeListeners" => {
            let listener =
                |port| format!("<member><ListenerArn>arn:l{port}</ListenerArn><Port>{port}</Port></member>");
            page("Listeners", listener(80), listener(443))
        }
        "DescribeRules" if form["ListenerArn"] == "arn:l80" => "<Rules></Rules>".to_owned(),
        "DescribeRules" => page("Rules", rules(0..20), rules(20..30)),
        "DescribeTags" if arns().count() > 20 => {
            return (StatusCode::BAD_REQUEST, "<ErrorResponse/>".to_owned());
        }
        "DescribeTags" => {
            let tag =
                |key: &str, value: &str| format!("<member><Key>{key}</Key><Value>{value}</Value></member>");
            let described = arns().map(|arn| {
                let resource = tag("ingress.k8s.aws/resource", &format!("production/front-{arn}:80"));
                let tags = tag("elbv2.k8s.aws/cluster", CLUSTER) + &resource;
                format!("<member><ResourceArn>{arn}</ResourceArn><Tags>{tags}</Tags></member>")
            });
            format!(
                "<TagDescriptions>{}</TagDescriptions>",
                described.collect::<String>()
            )
        }
        "DescribeTargetGroups" => {
            let group = |arn: &str| {
                format!("<member><TargetGroupArn>{arn}</TargetGroupArn><TargetType>ip</TargetType></member>")
            };
            page(
                "TargetGroups",
                group("arn:0"),
                (1..30).map(|place| group(&format!("arn:{place}"))).collect(),
            )
        }
        "DescribeTargetHealth" => "<TargetHealthDescriptions></TargetHealthDescriptions>".to_owned(),
        other => panic!("{other}"),
    };
    (
        StatusCode::OK,
        format!("<{action}Response><{action}Result>{inner}</{action}Result></{action}Response>"),
    )
}

async fn served(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

#[tokio::test]
async fn every_page_is_read() {
    let asked = Asked::default();
    let endpoint = served(Router::new().route("/", post(in_pages)).with_state(asked.clone())).await;
    let found = reader(&endpoint, "us-east-1")
        .read(&AwsPlace::default(), CLUSTER, "production/front", "ours")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.rules.len(), 30);
    assert_eq!(
        found.rules[29].weights,
        [("arn:0".to_owned(), 0), ("arn:29".to_owned(), 29)].into()
    );
    assert_eq!(found.target_groups.len(), 30);
    assert!(found.target_groups.iter().all(|group| group.target_type == "ip"));
    let asked = asked.lock().unwrap();
    let listeners = asked
        .iter()
        .find(|form| form["Action"] == "DescribeListeners")
        .unwrap();
    assert_eq!(listeners["LoadBalancerArn"], "arn:lb1");
}

#[tokio::test]
async fn a_denial_names_the_permission() {
    let denied = || async {
        let body = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>";
        (StatusCode::FORBIDDEN, body)
    };
    let endpoint = served(Router::new().route("/", post(denied))).await;
    let told = reader(&endpoint, "us-east-1")
        .read(&AwsPlace::default(), CLUSTER, "production/front", "ours")
        .await
        .unwrap_err();
    assert!(matches!(told, LoadBalancersError::Denied { .. }), "{told:?}");
    assert!(
        told.to_string()
            .contains("elasticloadbalancing:DescribeLoadBalancers"),
        "{told}"
    );
}
