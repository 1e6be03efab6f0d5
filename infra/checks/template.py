"""infra/template.yaml as CloudFormation will see it: transformed by SAM's own translator, its conditions decided.

The local AWS drops much of what a template says (docs/permissions.md), so what it says is checked here.
`python template.py` checks; `python template.py --granted` prints what each function may do, as JSON.
"""

import json
import logging
import re
import sys
import tomllib

from boto3 import Session
from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from report import ROOT, finish

logging.getLogger("samtranslator").setLevel(logging.ERROR)
REGION, ACCOUNT = "us-east-1", "123456789012"
# Every parameter that opens a condition, set so that the condition holds.
EVERYTHING = {
    "SubnetIds": "subnet-1,subnet-2",
    "SecurityGroupIds": "sg-1",
    "RepositoryArns": f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/mc-api",
    "ClusterArns": f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/mc-prod-eks",
    "EnvironmentRoleArns": "arn:aws:iam::210987654321:role/sluice-production",
    "EnvironmentAccountIds": "210987654321",
    "SecretArns": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:mc-api-1a2b3c",
    "CheckFunctionArns": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:smoke",
    "RollBackConcurrency": "5",
    "AlarmEmail": "ops@example.com",
}


def load() -> dict:
    return yaml_parse((ROOT / "infra/template.yaml").read_text())


def of_type(template: dict, kind: str) -> dict:
    return {name: resource for name, resource in template["Resources"].items() if resource["Type"] == kind}


def kebab(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


def timeouts(template: dict) -> dict[str, int]:
    """Seconds after which Lambda ends each function."""
    usual = template["Globals"]["Function"]["Timeout"]
    return {name: found["Properties"].get("Timeout", usual) for name, found in of_type(template, "AWS::Serverless::Function").items()}


def processed(template: dict, parameters: dict[str, str], content: str = "layer") -> dict:
    """What CloudFormation gets, with conditions decided and parameters filled in; what AWS makes stays a reference."""
    template = json.loads(json.dumps(template))
    for function in of_type(template, "AWS::Serverless::Function").values():
        function["Properties"]["CodeUri"] = "s3://bucket/code"
    for layer in of_type(template, "AWS::Serverless::LayerVersion").values():
        layer["Properties"]["ContentUri"] = f"s3://bucket/{content}"
    for machine in of_type(template, "AWS::Serverless::StateMachine").values():
        path = ROOT / "infra" / machine["Properties"].pop("DefinitionUri")
        machine["Properties"]["Definition"] = json.loads(path.read_text())
    values = {name: str(parameter.get("Default", "")) for name, parameter in template["Parameters"].items()} | parameters
    # No managed policies: the template names none of those that SAM knows by name.
    sam = Translator({}, Parser(), None, Session(region_name=REGION))
    return Decider(sam.translate(template, dict(values)), values).template()


class Decider:
    """Decides a template's conditions: Ref, Fn::If, Equals, Not, And, Or, Join, Select, and Sub of parameters."""

    def __init__(self, template: dict, values: dict[str, str]):
        lists = {name for name, parameter in template["Parameters"].items() if parameter["Type"] == "CommaDelimitedList"}
        self.values = {name: value.split(",") if name in lists else value for name, value in values.items()}
        self.source = template

    def template(self) -> dict:
        resources = {name: resource for name, resource in self.source["Resources"].items() if self.holds(resource.get("Condition"))}
        return {**self.source, "Resources": self.decide(resources)}

    def holds(self, condition: str | None) -> bool:
        return condition is None or self.decide(self.source["Conditions"][condition]) is True

    def decide(self, value):
        if isinstance(value, list):
            return [item for item in map(self.decide, value) if item is not None]
        if not isinstance(value, dict):
            return value
        if len(value) == 1 and (known := getattr(self, "do_" + next(iter(value)).removeprefix("Fn::").lower(), None)):
            return known(next(iter(value.values())))
        decided = {key: self.decide(item) for key, item in value.items()}
        return {key: item for key, item in decided.items() if item is not None}

    def do_ref(self, name):
        return None if name == "AWS::NoValue" else self.values.get(name, {"Ref": name})

    def do_if(self, arguments):
        condition, yes, no = arguments
        return self.decide(yes if self.holds(condition) else no)

    def do_equals(self, pair):
        one, other = map(self.decide, pair)
        return str(one) == str(other)

    def do_not(self, one):
        return not self.decide(one[0])

    def do_and(self, all_):
        return all(map(self.decide, all_))

    def do_or(self, any_):
        return any(map(self.decide, any_))

    def do_join(self, arguments):
        separator, parts = arguments[0], self.decide(arguments[1])
        plain = isinstance(parts, list) and all(isinstance(part, str) for part in parts)
        return separator.join(parts) if plain else {"Fn::Join": [separator, parts]}

    def do_select(self, arguments):
        place, parts = int(arguments[0]), self.decide(arguments[1])
        return parts[place] if isinstance(parts, list) and place < len(parts) else {"Fn::Select": [place, parts]}

    def do_sub(self, text):
        if not isinstance(text, str):
            return {"Fn::Sub": text}
        return re.sub(r"\$\{(\w+)\}", lambda found: self.values.get(found[1], found[0]), text)


# --- who may do what ---------------------------------------------------------------------------------------------------


def as_list(value) -> list:
    return value if isinstance(value, list) else [value]


def statements(template: dict) -> list[tuple[str, dict]]:
    """Every statement of every role and managed policy, with the logical id of what holds it."""
    found = []
    for kind, documents in (
        ("AWS::IAM::Role", lambda properties: [policy["PolicyDocument"] for policy in properties.get("Policies", [])]),
        ("AWS::IAM::ManagedPolicy", lambda properties: [properties["PolicyDocument"]]),
    ):
        for name, resource in of_type(template, kind).items():
            found += [(name, statement) for document in documents(resource["Properties"]) for statement in document["Statement"]]
    return found


def granted(template: dict) -> dict[str, list[str]]:
    """The actions of each function's own policy, by the function's name."""
    roles: dict[str, set[str]] = {}
    for holder, statement in statements(template):
        if holder.endswith("Role"):
            roles.setdefault(kebab(holder.removesuffix("Role")), set()).update(as_list(statement["Action"]))
    crates = {kebab(name) for name in of_type(template, "AWS::Lambda::Function")}
    return {name: sorted(actions) for name, actions in sorted(roles.items()) if name in crates}


def wildcards(template: dict) -> set[tuple[str, str]]:
    """(holder, Sid) of every statement with a * in what it names."""
    return {(holder, statement["Sid"]) for holder, statement in statements(template) if "*" in json.dumps(statement["Resource"])}


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the first table under a heading, without its two first lines and without backticks."""
    under = page.split(f"## {heading}\n", 1)
    if len(under) != 2:
        raise SystemExit(f"docs/permissions.md has no section '{heading}'")
    lines = [line for line in under[1].split("\n## ", 1)[0].splitlines() if line.startswith("|")][2:]
    return [[cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in lines]


def permission_faults(template: dict, page: str) -> list[str]:
    faults = []
    for holder, statement in statements(template):
        if any("*" in action for action in as_list(statement["Action"])):
            faults.append(f"{holder} {statement['Sid']}: name the actions")
    allowed = {(holder, row[1]) for row in rows(page, "Wildcards") for holder in row[0].split(", ")}
    found = wildcards(template)
    faults += [f"{holder} {sid}: a * that docs/permissions.md gives no reason for" for holder, sid in sorted(found - allowed)]
    faults += [f"docs/permissions.md explains a * that is not there: {holder} {sid}" for holder, sid in sorted(allowed - found)]
    told = {row[0]: sorted(row[1].split(", ")) for row in rows(page, "What each function may do")}
    for name, actions in granted(template).items():
        own = [action for action in actions if not action.startswith("logs:")]
        if told.pop(name, None) != own:
            faults.append(f"docs/permissions.md is wrong about {name}, which may {', '.join(own)}")
    return faults + [f"docs/permissions.md speaks of {name}, which is no function" for name in told]


# --- what the local AWS drops ----------------------------------------------------------------------------------------------


def table_faults(template: dict) -> list[str]:
    faults = []
    for name, table in of_type(template, "AWS::DynamoDB::Table").items():
        properties = table["Properties"]
        wanted = {
            "point-in-time recovery": properties.get("PointInTimeRecoverySpecification", {}).get("PointInTimeRecoveryEnabled"),
            "time to live on `expires`": properties.get("TimeToLiveSpecification") == {"AttributeName": "expires", "Enabled": True},
            "deletion protection": properties.get("DeletionProtectionEnabled"),
            "encryption": properties.get("SSESpecification", {}).get("SSEEnabled"),
            "a stream of both images": properties.get("StreamSpecification") == {"StreamViewType": "NEW_AND_OLD_IMAGES"},
            "payment by request": properties.get("BillingMode") == "PAY_PER_REQUEST",
            "Retain": table.get("DeletionPolicy") == table.get("UpdateReplacePolicy") == "Retain",
        }
        faults += [f"{name} lacks {what}" for what, there in wanted.items() if there is not True]
    return faults


def delivery_faults(template: dict) -> list[str]:
    """What comes by itself must not get lost without a trace."""
    faults, dead_letters = [], {"Fn::GetAtt": ["DeadLetters", "Arn"]}
    asynchronous = {"RollBack"}  # called with --invocation-type Event, and by alarms
    for name, rule in of_type(template, "AWS::Events::Rule").items():
        for target in rule["Properties"]["Targets"]:
            asynchronous.add(target["Arn"]["Fn::GetAtt"][0])
            if target.get("DeadLetterConfig", {}).get("Arn") != dead_letters or not target.get("RetryPolicy", {}).get("MaximumEventAgeInSeconds"):
                faults.append(f"{name} needs the dead-letter queue and a retry policy with a maximum age")
    configured = {config["Properties"]["FunctionName"]["Ref"]: config["Properties"] for config in of_type(template, "AWS::Lambda::EventInvokeConfig").values()}
    for name in sorted(asynchronous):
        config = configured.get(name, {})
        on_failure = config.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
        if on_failure != dead_letters or "MaximumRetryAttempts" not in config or "MaximumEventAgeInSeconds" not in config:
            faults.append(f"{name} needs retries, a maximum age and the dead-letter queue for asynchronous calls")
    if of_type(template, "AWS::SQS::Queue")["DeadLetters"]["Properties"].get("SqsManagedSseEnabled") is not True:
        faults.append("DeadLetters is not encrypted")
    return faults


def function_faults(template: dict) -> list[str]:
    faults, logs = [], of_type(template, "AWS::Logs::LogGroup")
    for name, function in of_type(template, "AWS::Lambda::Function").items():
        properties = function["Properties"]
        group = properties["LoggingConfig"]["LogGroup"].get("Ref")
        wanted = {
            "a role of its own": properties["Role"] == {"Fn::GetAtt": [name + "Role", "Arn"]},
            "tracing": properties.get("TracingConfig") == {"Mode": "Active"},
            "a log with an end": bool(logs.get(group, {}).get("Properties", {}).get("RetentionInDays")),
            "JSON logs": properties["LoggingConfig"].get("LogFormat") == "JSON",
            "a name like its crate's": properties["FunctionName"] == "sluice-" + kebab(name),
            "the table and the machines": {"TABLE", "PROMOTION_MACHINE", "ROLLBACK_MACHINE"} <= set(properties["Environment"]["Variables"]),
        }
        faults += [f"{name} lacks {what}" for what, there in wanted.items() if not there]
    return faults


def machine_faults(template: dict) -> list[str]:
    faults, versions = [], of_type(template, "AWS::Lambda::Version")
    faults += [
        f"{name} must be kept when a newer version takes its place"
        for name, version in versions.items()
        if not version.get("DeletionPolicy") == version.get("UpdateReplacePolicy") == "Retain"
    ]
    for name, machine in of_type(template, "AWS::StepFunctions::StateMachine").items():
        properties = machine["Properties"]
        called = [function.get("Ref") for function in properties["DefinitionSubstitutions"].values()]
        names = {versions[version]["Properties"]["FunctionName"]["Ref"] for version in called if version in versions}
        may = next(statement["Resource"] for holder, statement in statements(template) if holder == name + "Role" and statement["Sid"] == "Functions")
        wanted = {
            "tracing": properties.get("TracingConfiguration") == {"Enabled": True},
            "a log without execution data (tokens)": properties["LoggingConfiguration"].get("IncludeExecutionData") is False,
            "functions by version": all(version in versions for version in called),
            "a role for exactly the functions it calls": set(may) == {"${%s.Arn}:*" % function for function in names},
        }
        faults += [f"{name} lacks {what}" for what, there in wanted.items() if not there]
    return faults


def helm_faults(template: dict) -> list[str]:
    """helm's identity carries its fence: one function may take it, under the names that the admission policy reads."""
    trust = template["Resources"]["HelmRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    wanted = {
        "Effect": "Allow",
        "Principal": {"AWS": {"Fn::GetAtt": ["RunHelmRole", "Arn"]}},
        "Action": "sts:AssumeRole",
        "Condition": {"StringLike": {"sts:RoleSessionName": ["fence-*", "plan*"]}},
    }
    faults = [] if trust == [wanted] else ["HelmRole may be taken by others than run-helm, or under other names than fence-* and plan*"]
    layers = of_type(template, "AWS::Lambda::LayerVersion")
    architectures = [layer["Properties"].get("CompatibleArchitectures") for layer in layers.values()]
    functions = of_type(template, "AWS::Lambda::Function")
    faults += [
        f"{name} runs on {function['Properties']['Architectures']}, its layer is for {architectures}"
        for name, function in functions.items()
        if function["Properties"].get("Layers") and architectures != [function["Properties"]["Architectures"]]
    ]
    return faults + [f"{name} must be kept" for name, layer in layers.items() if layer.get("DeletionPolicy") != "Retain"]


def alarm_faults(template: dict) -> list[str]:
    return [
        f"{name} needs a description, and silence must not be an alarm"
        for name, alarm in of_type(template, "AWS::CloudWatch::Alarm").items()
        if not alarm["Properties"].get("AlarmDescription") or alarm["Properties"].get("TreatMissingData") != "notBreaching"
    ]


def metric_faults(source: str, functions: str) -> list[str]:
    """A metric that is named, and that no function counts, is a graph that stays empty. `functions`: their code."""
    named = [pair for pair in re.findall(r'Self::(\w+) => "(\w+)",', source) if pair[1] not in ("Seconds", "Percent")]
    measures = {"TrackWeight": r"Metrics::StandardOutput\.weights\("}
    faults = [
        f"{name} is counted by no function"
        for variant, name in sorted(named)
        if not re.search(measures.get(variant, rf"Metric::{variant}\b"), functions)
    ]
    return faults if named else ["no metric is named"]


def dashboard_faults(template: dict, source: str) -> list[str]:
    """CloudWatch takes any dashboard, and shows nothing where a name is wrong. `source`: the code that names our metrics."""
    faults, known = [], set(re.findall(r'Self::\w+ => "(\w+)",', source)) - {"Seconds", "Percent"}
    if not (boards := of_type(template, "AWS::CloudWatch::Dashboard")):
        return ["there is no dashboard"]
    for name, board in boards.items():
        body, seen, taken = board["Properties"]["DashboardBody"], set(), {}
        for found in re.findall(r"\$\{(\w+)(?:\.Arn)?\}", body):
            if found not in template["Resources"]:
                faults.append(f"{name} names {found}, which is nothing of the template")
        for widget in json.loads(body)["widgets"]:
            properties, title = widget["properties"], widget["properties"].get("title")
            if widget["x"] + widget["width"] > 24:
                faults.append(f"{name}: '{title}' is wider than the page")
            for place in ((x, y) for x in range(widget["x"], widget["x"] + widget["width"]) for y in range(widget["y"], widget["y"] + widget["height"])):
                taken.setdefault(place, set()).add(title)
            for metric in properties.get("metrics", []):
                seen |= {metric[1]} if metric[0] == "Sluice" else set(re.findall(r'MetricName="(\w+)"', metric[0]["expression"]))
            for query in filter(None, [properties.get("query")]):
                seen |= set(re.findall(r"ispresent\((\w+)\)", query))
        faults += [f"{name}: {', '.join(sorted(titles))} lie over each other" for titles in {frozenset(t) for t in taken.values() if len(t) > 1}]
        faults += [f"{name} shows {metric}, which nothing measures" for metric in sorted(seen - known)]
        faults += [f"{name} does not show {metric}" for metric in sorted(known - seen)]
    return faults


def function_sources() -> str:
    """The code of every function, and of the changes that they share."""
    paths = [path for folder in ("functions/*", "shared/transitions") for path in sorted(ROOT.glob(f"{folder}/src/**/*.rs"))]
    return "\n".join(path.read_text() for path in paths)


def parameter_faults(template: dict) -> list[str]:
    """What parameters open and shut, in both positions."""
    usual, all_ = processed(template, {}), processed(template, EVERYTHING)
    faults = []
    for name in of_type(usual, "AWS::Lambda::Function"):
        if "VpcConfig" in usual["Resources"][name]["Properties"]:
            faults.append(f"{name} is in a VPC that nobody named")
        if all_["Resources"][name]["Properties"].get("VpcConfig") != {"SubnetIds": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"]}:
            faults.append(f"{name} is not in the VPC that was named")
        if {"Ref": "VpcAccess"} not in all_["Resources"][name + "Role"]["Properties"]["ManagedPolicyArns"]:
            faults.append(f"{name} may not use the VPC that was named")
    reserved = [one["Resources"]["RollBack"]["Properties"].get("ReservedConcurrentExecutions") for one in (usual, all_)]
    if reserved != [None, "5"]:
        faults.append(f"RollBackConcurrency of 0 and 5 reserves {reserved}")
    bounds = {
        "Images": "RepositoryArns",
        "Charts": "RepositoryArns",
        "Cluster": "ClusterArns",
        "OtherAccounts": "EnvironmentRoleArns",
        "Secrets": "SecretArns",
        "CheckFunctions": "CheckFunctionArns",
    }
    for sid, wanted in bounds.items():
        found = {tuple(as_list(statement["Resource"])) for _, statement in statements(all_) if statement["Sid"] == sid}
        if found != {(EVERYTHING[wanted],)}:
            faults.append(f"{wanted} does not bound {sid}: {sorted(map(str, found))}")
    for sid in ("OtherAccounts", "Secrets", "CheckFunctions"):
        if any(statement["Sid"] == sid for _, statement in statements(usual)):
            faults.append(f"{sid} is allowed though {bounds[sid]} names nothing")
    left_out = set(usual["Resources"]) - set(processed(template, {"Local": "yes"})["Resources"])
    if left_out != {"StepErrors"}:
        faults.append(f"Local=yes leaves out {sorted(left_out)}, and should StepErrors alone")
    return faults + version_faults(template)


def version_faults(template: dict) -> list[str]:
    """A parameter that changes a function must change its version, which SAM alone does not see to."""
    usual, faults = of_type(processed(template, {}), "AWS::Lambda::Version"), []
    vpc = {name: EVERYTHING[name] for name in ("SubnetIds", "SecurityGroupIds")}
    for change in ({"LogLevel": "ERROR"}, vpc):
        changed = of_type(processed(template, change), "AWS::Lambda::Version")
        same = sorted(name for name in set(usual) & set(changed) if usual[name] == changed[name])
        faults += [f"{name} stays as it is when {' and '.join(change)} change" for name in same]
    layered = [name for name, function in of_type(template, "AWS::Serverless::Function").items() if "Layers" in function["Properties"]]
    changed = of_type(processed(template, {}, content="another"), "AWS::Lambda::Version")
    for name, version in usual.items():
        if version["Properties"]["FunctionName"]["Ref"] in layered and changed.get(name) == version:
            faults.append(f"{name} stays as it is when the function's layer changes")
    return faults


def crate_faults(template: dict) -> list[str]:
    functions = of_type(template, "AWS::Serverless::Function")
    folders = {name: found["Properties"]["CodeUri"].removeprefix("../functions/").rstrip("/") for name, found in functions.items()}
    crates = {path.parent.name: tomllib.loads(path.read_text()) for path in (ROOT / "functions").glob("*/Cargo.toml")}
    faults = [f"{name} is built from {folder}, not from {kebab(name)}" for name, folder in folders.items() if folder != kebab(name)]
    faults += [f"{name} has no crate functions/{folder}" for name, folder in sorted(folders.items()) if folder not in crates]
    faults += [f"functions/{folder} is no function of the template" for folder in sorted(set(crates) - set(folders.values()))]
    return faults + [f"functions/{folder} has a crate of another name" for folder, crate in crates.items() if crate["package"]["name"] != folder]


def main() -> None:
    template = load()
    usual = processed(template, {})
    if "--granted" in sys.argv[1:]:
        print(json.dumps(granted(processed(template, EVERYTHING)), indent=2))
        return
    page = (ROOT / "docs/permissions.md").read_text()
    faults = permission_faults(processed(template, EVERYTHING | {"RepositoryArns": "", "ClusterArns": ""}), page)
    for check in (table_faults, delivery_faults, function_faults, machine_faults, helm_faults, alarm_faults):
        faults += check(usual)
    source = (ROOT / "shared/lambda/src/metrics.rs").read_text()
    faults += dashboard_faults(usual, source) + metric_faults(source, function_sources())
    finish("template", faults + parameter_faults(template) + crate_faults(template))


if __name__ == "__main__":
    main()
