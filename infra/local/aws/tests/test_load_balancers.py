import re

from ministack.services import alb
from ministack_plugin import load_balancers

from .support import PluginTest


def call(action, **params):
    status, _, body = alb._ACTION_MAP[action]({name.replace("__", "."): [str(value)] for name, value in params.items()})
    return status, body.decode()


def one(body, tag):
    return re.search(f"<{tag}>(.*?)</{tag}>", body).group(1)


class Balancing(PluginTest):
    def setUp(self):
        super().setUp()
        self.addCleanup(alb.reset)
        self.groups = [one(call("CreateTargetGroup", Name=name, TargetType="ip")[1], "TargetGroupArn")
                       for name in ("blue", "green")]
        balancer = one(call("CreateLoadBalancer", Name="public")[1], "LoadBalancerArn")
        self.listener = one(call("CreateListener", LoadBalancerArn=balancer, Port=80,
                                 DefaultActions__member__1__Type="fixed-response",
                                 DefaultActions__member__1__FixedResponseConfig__StatusCode=404)[1], "ListenerArn")
        self.balancer = balancer

    def forward(self, *weights):
        base = "Actions__member__1"
        groups = {}
        for number, (arn, weight) in enumerate(zip(self.groups, weights), 1):
            groups[f"{base}__ForwardConfig__TargetGroups__member__{number}__TargetGroupArn"] = arn
            groups[f"{base}__ForwardConfig__TargetGroups__member__{number}__Weight"] = weight
        return {f"{base}__Type": "forward"} | groups

    def rule(self, *weights):
        return one(call("CreateRule", ListenerArn=self.listener, Priority=1, **self.forward(*weights))[1], "RuleArn")

    def weights(self):
        body = call("DescribeRules", ListenerArn=self.listener)[1]
        return [int(weight) for weight in re.findall("<Weight>(.*?)</Weight>", body)]

    def states(self, group):
        body = call("DescribeTargetHealth", TargetGroupArn=group)[1]
        return re.findall("<State>(.*?)</State>", body)

    def test_weights_are_kept_and_changed(self):
        rule = self.rule(95, 5)
        self.assertEqual(self.weights(), [95, 5])
        call("ModifyRule", RuleArn=rule, **self.forward(0, 100))
        self.assertEqual(self.weights(), [0, 100])
        self.groups[1] += "x"
        self.assertEqual(call("ModifyRule", RuleArn=rule, **self.forward(1, 1))[0], 400)
        self.assertEqual(self.weights(), [0, 100])

    def test_a_group_in_use_knows_its_balancer_and_stays(self):
        rule = self.rule(1, 0)
        body = call("DescribeTargetGroups", LoadBalancerArn=self.balancer)[1]
        self.assertEqual(body.count("<TargetGroupName>"), 2)
        self.assertIn("ResourceInUse", call("DeleteTargetGroup", TargetGroupArn=self.groups[1])[1])
        call("DeleteRule", RuleArn=rule)
        self.assertEqual(call("DeleteTargetGroup", TargetGroupArn=self.groups[1])[0], 200)
        self.assertEqual(call("DescribeTargetGroups", Names__member__1="green")[0], 400)

    def test_what_a_balancer_has_goes_with_it(self):
        self.rule(1, 0)
        call("DeleteLoadBalancer", LoadBalancerArn=self.balancer)
        self.assertEqual(call("DeleteTargetGroup", TargetGroupArn=self.groups[1])[0], 200)
        self.assertEqual(call("DescribeRules", ListenerArn=self.listener)[1].count("<RuleArn>"), 0)

    def test_health_is_what_was_said_of_a_target(self):
        blue = self.groups[0]
        target = {"TargetGroupArn": blue, "Targets__member__1__Id": "10.244.0.2"}
        call("RegisterTargets", **target)
        self.assertEqual(self.states(blue), ["unused"])
        self.rule(1, 0)
        self.assertEqual(self.states(blue), ["initial"])
        call("SimulateTargetHealth", State="healthy", **target)
        self.assertEqual(self.states(blue), ["healthy"])
        call("SimulateTargetHealth", State="unhealthy", Reason="Target.Timeout", **target)
        self.assertIn("Request timed out", call("DescribeTargetHealth", TargetGroupArn=blue)[1])
        absent = call("DescribeTargetHealth", TargetGroupArn=blue, Targets__member__1__Id="10.244.9.9")[1]
        self.assertIn("Target.NotRegistered", absent)

    def test_a_target_drains_before_it_is_gone(self):
        blue = self.groups[0]
        target = {"TargetGroupArn": blue, "Targets__member__1__Id": "10.244.0.2"}
        self.rule(1, 0)
        call("RegisterTargets", **target)
        call("SimulateTargetHealth", State="healthy", **target)
        call("DeregisterTargets", **target)
        self.assertEqual(self.states(blue), ["draining"])
        call("RegisterTargets", **target)
        self.assertEqual(self.states(blue), ["initial"], "registered anew")
        call("ModifyTargetGroupAttributes", TargetGroupArn=blue,
             Attributes__member__1__Key="deregistration_delay.timeout_seconds", Attributes__member__1__Value=0)
        call("DeregisterTargets", **target)
        self.assertEqual(self.states(blue), [])
