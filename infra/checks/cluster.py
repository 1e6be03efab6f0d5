"""The cluster's roles and its fence: a kind that Sluice may change and that the fence does not know would be unfenced."""

import yaml

from report import ROOT, finish

CHANGE = {"update", "patch"}
# Rights that would go round the fence or the reasons in docs/permissions.md.
NEVER = {"delete", "deletecollection", "escalate", "bind", "impersonate", "*"}


def documents(name: str) -> list[dict]:
    return list(yaml.safe_load_all((ROOT / "infra/cluster" / name).read_text()))


def kinds(rules: list[dict], wanted: set[str] | None = None) -> set[tuple[str, str]]:
    """(group, resource) of the rules, of those with one of the wanted verbs where any are given."""
    chosen = [rule for rule in rules if wanted is None or wanted & set(rule["verbs"])]
    return {(group, resource) for rule in chosen for group in rule["apiGroups"] for resource in rule["resources"]}


def faults_of(roles: list[dict], policy: dict, bindings: list[dict]) -> list[str]:
    rules = {role["metadata"]["name"]: role["rules"] for role in roles}
    match = policy["spec"]["matchConstraints"]["resourceRules"]
    changed, fenced = kinds(rules["sluice-deployer"], CHANGE), kinds(match)
    faults = [f"sluice-deployer may change {resource}, which the fence does not know" for _, resource in sorted(changed - fenced)]
    faults += [f"the fence knows {resource}, which sluice-deployer may not change" for _, resource in sorted(fenced - changed)]
    faults += [f"the fence must see {rule['resources']} created and updated" for rule in match if set(rule["operations"]) != {"CREATE", "UPDATE"}]
    for name, own in rules.items():
        faults += [f"{name} has {verb}" for rule in own for verb in sorted(NEVER & set(rule["verbs"]))]
        faults += [f"{name} has {resource}" for _, resource in sorted(kinds(own)) if "/" in resource or resource in ("secrets", "*")]
    if kinds(rules["sluice-observer"], CHANGE | {"create"}):
        faults.append("sluice-observer may write")
    bound = {(binding["roleRef"]["name"], binding["subjects"][0]["name"], binding["kind"]) for binding in bindings}
    if bound != {("sluice-deployer", "sluice:deployers", "RoleBinding"), ("sluice-observer", "sluice:observers", "RoleBinding")}:
        faults.append(f"namespace.yaml.example binds {sorted(bound)}")
    if "'sluice:deployers' in request.userInfo.groups" not in [one["expression"] for one in policy["spec"]["matchConditions"]]:
        faults.append("the fence is not for sluice:deployers")
    return faults


def main() -> None:
    policy, binding = documents("20-fence-policy.yaml")
    faults = faults_of(documents("10-rbac.yaml"), policy, documents("namespace.yaml.example"))
    if policy["spec"]["failurePolicy"] != "Fail" or binding["spec"] != {"policyName": policy["metadata"]["name"], "validationActions": ["Deny"]}:
        faults.append("the fence must deny, and must fail shut")
    finish("cluster", faults)


if __name__ == "__main__":
    main()
