"""ELBv2: weighted forward actions, which target group a balancer uses, and targets whose health somebody decides.

No packet reaches a target here. What a health check would find is said by the action SimulateTargetHealth, which AWS does
not have and the double of the load balancer's controller calls (../src/doubles/alb):

    Action=SimulateTargetHealth&TargetGroupArn=...&Targets.member.1.Id=10.244.0.2&State=unhealthy&Reason=Target.Timeout
"""
import time

from ministack.services import alb

_parse_actions, _action_xml, _tg_xml = alb._parse_actions, alb._action_xml, alb._tg_xml
_delete_lb, _delete_tg = alb._delete_lb, alb._delete_tg
_register, _deregister = alb._register_targets, alb._deregister_targets

# https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetHealth.html
_DESCRIPTIONS = {
    "Elb.RegistrationInProgress": "Target registration is in progress",
    "Target.DeregistrationInProgress": "Target deregistration is in progress",
    "Target.FailedHealthChecks": "Health checks failed",
    "Target.NotInUse": "Target group is not configured to receive traffic from the load balancer",
    "Target.NotRegistered": "Target is not registered to the target group",
    "Target.Timeout": "Request timed out",
}


# -- actions ---------------------------------------------------------------------------------------------------------
def _groups(params, base):
    groups, i = [], 1
    while arn := alb._p(params, f"{base}.TargetGroups.member.{i}.TargetGroupArn"):
        weight = alb._p(params, f"{base}.TargetGroups.member.{i}.Weight")
        groups.append({"TargetGroupArn": arn} | ({"Weight": int(weight)} if weight else {}))
        i += 1
    return groups


def parse_actions(params, prefix="DefaultActions"):
    actions = _parse_actions(params, prefix)
    for number, action in enumerate(actions, 1):
        groups = _groups(params, f"{prefix}.member.{number}.ForwardConfig")
        if action["Type"] == "forward" and not groups and action.get("TargetGroupArn"):
            groups = [{"TargetGroupArn": action["TargetGroupArn"], "Weight": 1}]
        if groups:
            action["ForwardConfig"] = groups
            # One group alone is shown both ways.
            action.pop("TargetGroupArn", None)
            if len(groups) == 1:
                action["TargetGroupArn"] = groups[0]["TargetGroupArn"]
    return actions


def action_xml(action):
    whole = _action_xml(action)
    if "ForwardConfig" not in action:
        return whole
    groups = "".join(
        f"<member><TargetGroupArn>{group['TargetGroupArn']}</TargetGroupArn><Weight>{group.get('Weight', 1)}</Weight></member>"
        for group in action["ForwardConfig"])
    config = (f"<ForwardConfig><TargetGroups>{groups}</TargetGroups><TargetGroupStickinessConfig><Enabled>false</Enabled>"
              "</TargetGroupStickinessConfig></ForwardConfig>")
    return whole.removesuffix("</member>") + config + "</member>"


# -- target groups ---------------------------------------------------------------------------------------------------
def balancers_of(arn):
    """The load balancers whose listeners and rules name a target group."""
    def names(actions):
        return any(group["TargetGroupArn"] == arn for action in actions for group in action.get("ForwardConfig") or [])
    found = [alb._listeners[rule["ListenerArn"]]["LoadBalancerArn"] for rule in alb._rules.values()
             if names(rule.get("Actions") or []) and rule.get("ListenerArn") in alb._listeners]
    return list(dict.fromkeys(found))


def tg_xml(group):
    return _tg_xml(group | {"LoadBalancerArns": balancers_of(group["TargetGroupArn"])})


def describe_tgs(params):
    for group in alb._tgs.values():
        group["LoadBalancerArns"] = balancers_of(group["TargetGroupArn"])
    answer = _describe_tgs(params)
    names = alb._parse_member_list(params, "Names")
    known = {group["TargetGroupName"] for group in alb._tgs.values()}
    if any(name not in known for name in names):
        return alb._error("TargetGroupNotFound", "One or more target groups not found", 400)
    return answer


_describe_tgs = alb._describe_tgs


def delete_lb(params):
    """Its listeners and their rules go with it."""
    arn = alb._p(params, "LoadBalancerArn")
    for listener in [key for key, one in alb._listeners.items() if one.get("LoadBalancerArn") == arn]:
        alb._ACTION_MAP["DeleteListener"]({"ListenerArn": [listener]})
    return _delete_lb(params)


def delete_tg(params):
    arn = alb._p(params, "TargetGroupArn")
    if balancers_of(arn):
        return alb._error("ResourceInUse", f"Target group '{arn}' is currently in use by a listener or a rule", 400)
    return _delete_tg(params)


def rule_groups_exist(handler):
    """Rules and listeners name target groups that exist."""
    def checked(params):
        for prefix in ("Actions", "DefaultActions"):
            for action in parse_actions(params, prefix):
                for group in action.get("ForwardConfig") or []:
                    if group["TargetGroupArn"] not in alb._tgs:
                        return alb._error("TargetGroupNotFound", f"Target group '{group['TargetGroupArn']}' not found.")
        return handler(params)
    return checked


# -- targets ---------------------------------------------------------------------------------------------------------
def _delay(arn):
    for attribute in alb._tg_attrs.get(arn) or []:
        if attribute["Key"] == "deregistration_delay.timeout_seconds":
            return float(attribute["Value"])
    return 300.0


def _present(arn):
    """A group's targets; those that have drained are gone."""
    now = time.time()
    alb._targets[arn] = [target for target in alb._targets.get(arn) or [] if target.get("_drained", now + 1) > now]
    return alb._targets[arn]


def register(params):
    asked = {target["Id"] for target in alb._parse_targets_param(params)}
    for target in _present(alb._p(params, "TargetGroupArn")) if asked else []:
        if target["Id"] in asked and "_drained" in target:
            target.pop("_drained")
            target.pop("_health", None)
    return _register(params)


def deregister(params):
    arn = alb._p(params, "TargetGroupArn")
    asked = {target["Id"] for target in alb._parse_targets_param(params)}
    # A target that never took traffic does not drain.
    if arn not in alb._tgs or not balancers_of(arn):
        return _deregister(params)
    for target in _present(arn):
        if target["Id"] in asked and "_drained" not in target:
            target["_drained"] = time.time() + _delay(arn)
    return alb._empty("DeregisterTargets")


def health(arn, target):
    """(state, reason) of a target."""
    if "_drained" in target:
        return "draining", "Target.DeregistrationInProgress"
    if not balancers_of(arn):
        return "unused", "Target.NotInUse"
    return target.get("_health") or ("initial", "Elb.RegistrationInProgress")


def describe_target_health(params):
    arn = alb._p(params, "TargetGroupArn")
    if arn not in alb._tgs:
        return alb._error("TargetGroupNotFound", f"Target group '{arn}' not found.")
    asked = [target["Id"] for target in alb._parse_targets_param(params)]
    present, port = _present(arn), alb._tgs[arn].get("Port", 80)
    shown = [(target, health(arn, target)) for target in present if not asked or target["Id"] in asked]
    missing = set(asked) - {target["Id"] for target, _ in shown}
    shown += [({"Id": one}, ("unused", "Target.NotRegistered")) for one in sorted(missing)]
    members = "".join(_health_xml(target, port, *state) for target, state in shown)
    return alb._xml(200, "DescribeTargetHealth", f"<TargetHealthDescriptions>{members}</TargetHealthDescriptions>")


def _health_xml(target, port, state, reason):
    why = f"<Reason>{reason}</Reason><Description>{_DESCRIPTIONS.get(reason, reason)}</Description>" if reason else ""
    return (f"<member><Target><Id>{target['Id']}</Id><Port>{target.get('Port', port)}</Port></Target>"
            f"<HealthCheckPort>{target.get('Port', port)}</HealthCheckPort>"
            f"<TargetHealth><State>{state}</State>{why}</TargetHealth></member>")


def simulate_target_health(params):
    arn, state, reason = (alb._p(params, name) for name in ("TargetGroupArn", "State", "Reason"))
    if arn not in alb._tgs:
        return alb._error("TargetGroupNotFound", f"Target group '{arn}' not found.")
    asked = {target["Id"] for target in alb._parse_targets_param(params)}
    for target in _present(arn):
        if target["Id"] in asked:
            target["_health"] = (state, reason)
    return alb._empty("SimulateTargetHealth")


def install():
    alb._parse_actions, alb._action_xml, alb._tg_xml = parse_actions, action_xml, tg_xml
    changed = {"DescribeTargetGroups": describe_tgs, "DeleteLoadBalancer": delete_lb, "DeleteTargetGroup": delete_tg, "RegisterTargets": register,
               "DeregisterTargets": deregister, "DescribeTargetHealth": describe_target_health,
               "SimulateTargetHealth": simulate_target_health}
    for name in ("CreateListener", "ModifyListener", "CreateRule", "ModifyRule"):
        changed[name] = rule_groups_exist(alb._ACTION_MAP[name])
    alb._ACTION_MAP.update(changed)
