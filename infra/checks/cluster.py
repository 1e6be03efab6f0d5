"""The cluster's roles and its fence: a kind that Sluice may change and that the fence does not know would be unfenced."""

import yaml

from report import ROOT, finish

CHANGE = {"update", "patch"}
# Rights that would go round the fence or the reasons in docs/permissions.md.
NEVER = {"deletecollection", "escalate", "bind", "impersonate", "*"}
# The role of helm, which writes what charts say, and by an identity that is fenced.
HELM = "sluice-helm"
GROUPS = {"sluice-deployer": "sluice:deployers", "sluice-observer": "sluice:observers", HELM: "sluice:helm"}
WRITE = CHANGE | {"create", "delete"}


def documents(name: str) -> list[dict]:
    return list(yaml.safe_load_all((ROOT / "infra/cluster" / name).read_text()))


def kinds(rules: list[dict], wanted: set[str] | None = None) -> set[tuple[str, str]]:
    """(group, resource) of the rules, of those with one of the wanted verbs where any are given. With the names of the
    objects where a rule is for some only: `configmaps sluice-fence`."""
    def named(resource: str, rule: dict) -> str:
        return " ".join([resource, *rule.get("resourceNames", [])])
    chosen = [rule for rule in rules if wanted is None or wanted & set(rule.get("verbs", []))]
    return {(group, named(resource, rule)) for rule in chosen for group in rule["apiGroups"] for resource in rule["resources"]}


def faults_of(documents: list[dict], policy: dict, bindings: list[dict]) -> list[str]:
    rules = {one["metadata"]["name"]: one["rules"] for one in documents if one["kind"] == "ClusterRole"}
    match = policy["spec"]["matchConstraints"]["resourceRules"]
    changed, fenced = kinds(rules["sluice-deployer"], CHANGE), kinds(match)
    faults = [f"sluice-deployer may change {resource}, which the fence does not know" for _, resource in sorted(changed - fenced)]
    faults += [f"the fence knows {resource}, which sluice-deployer may not change" for _, resource in sorted(fenced - changed)]
    faults += [f"the fence must see {rule['resources']} created and updated" for rule in match if set(rule["operations"]) != {"CREATE", "UPDATE"}]
    for name, own in rules.items():
        never = NEVER if name == HELM else NEVER | {"delete"}
        faults += [f"{name} has {verb}" for rule in own for verb in sorted(never & set(rule["verbs"]))]
        faults += [f"{name} has {resource}" for _, resource in sorted(kinds(own)) if resource not in may_have(name) and is_special(resource)]
        faults += [f"{name} may write pods/log" for group, resource in kinds(own, WRITE) if resource == "pods/log"]
    for name in ("sluice-observer", "sluice-helm-cluster"):
        if kinds(rules[name], WRITE):
            faults.append(f"{name} may write")
    bound = {(binding["roleRef"]["name"], binding["subjects"][0]["name"], binding["kind"]) for binding in bindings}
    if bound != {(role, group, "RoleBinding") for role, group in GROUPS.items()}:
        faults.append(f"namespace.yaml.example binds {sorted(bound)}")
    everywhere = [(one["roleRef"]["name"], one["subjects"][0]["name"]) for one in documents if one["kind"] == "ClusterRoleBinding"]
    if everywhere != [("sluice-helm-cluster", "sluice:helm")]:
        faults.append(f"10-rbac.yaml binds {everywhere} for the whole cluster")
    return faults + conditions_of(policy, "sluice:deployers")


def is_special(resource: str) -> bool:
    return "/" in resource or resource in ("secrets", "*") or "roles" in resource or "rolebindings" in resource


def may_have(role: str) -> set[str]:
    return {"pods/log", "secrets"} if role == HELM else {"pods/log"}


def conditions_of(policy: dict, group: str) -> list[str]:
    expressions = [one["expression"] for one in policy["spec"]["matchConditions"]]
    name = policy["metadata"]["name"]
    return [] if f"'{group}' in request.userInfo.groups" in expressions else [f"{name} is not for {group}"]


def helm_faults_of(policy: dict, binding: dict) -> list[str]:
    """The fence of helm knows no kinds: it must see whatever is written, and read the object that the other one guards."""
    faults = conditions_of(policy, "sluice:helm")
    everything = {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE", "DELETE"], "resources": ["*/*"], "scope": "Namespaced"}
    if policy["spec"]["matchConstraints"]["resourceRules"] != [everything]:
        faults.append("helm's fence must see everything that is written in a namespace")
    if "for-good" not in [one["name"] for one in policy["spec"]["matchConditions"]]:
        faults.append("helm's fence must let dry runs through")
    if binding["spec"]["paramRef"] != {"name": "sluice-fence", "parameterNotFoundAction": "Allow"}:
        faults.append("helm's fence must read the ConfigMap sluice-fence, and refuse nobody where there is none")
    if any("namespaceSelector" in part for part in (policy["spec"]["matchConstraints"], binding["spec"].get("matchResources", {}))):
        faults.append("helm's fence must hold in every namespace")
    return faults


def shut_of(policy: dict, binding: dict) -> list[str]:
    spec = binding["spec"]
    shut = policy["spec"]["failurePolicy"] == "Fail" and spec["policyName"] == policy["metadata"]["name"] and spec["validationActions"] == ["Deny"]
    return [] if shut else [f"{policy['metadata']['name']} must deny, and must fail shut"]


def main() -> None:
    policy, binding = documents("20-fence-policy.yaml")
    faults = faults_of(documents("10-rbac.yaml"), policy, documents("namespace.yaml.example"))
    if set(binding["spec"]) != {"policyName", "validationActions"}:
        faults.append("the fence must hold everywhere")
    helm = documents("30-helm-fence-policy.yaml")
    finish("cluster", faults + shut_of(policy, binding) + helm_faults_of(*helm) + shut_of(*helm))


if __name__ == "__main__":
    main()
