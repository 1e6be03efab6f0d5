"""Each check is shown one mistake at a time and must name it; and is quiet about what is in order."""

import copy
import json
import tempfile
import tomllib
import unittest
from pathlib import Path

import cluster
import machines
import samplconfig
import stand_in
import template
from report import ROOT

PAGE = (ROOT / "docs/architecture.md").read_text()
PERMISSIONS = (ROOT / "docs/permissions.md").read_text()
TEMPLATE = template.load()
OPEN = template.EVERYTHING | {"RepositoryArns": "", "ClusterArns": ""}


class Machines(unittest.TestCase):
    def setUp(self):
        self.machine = json.loads((ROOT / "statemachines/promotion.asl.json").read_text())
        self.states = self.machine["States"]

    def assert_fault(self, part: str):
        faults = machines.faults_of(self.machine, PAGE, template.timeouts(TEMPLATE))
        self.assertTrue(any(part in fault for fault in faults), faults)

    def test_the_closed_set_is_read_from_the_page(self):
        self.assertEqual(machines.raised_names(PAGE), {"Preempted", "Transient", "Conflict", "Refused", "Invalid", "Internal"})
        self.assertEqual(machines.answers(PAGE)["complete-rollout"], {"succeeded", "failed"})

    def test_in_order(self):
        self.assertEqual(machines.faults_of(self.machine, PAGE, template.timeouts(TEMPLATE)), [])

    def test_an_error_that_nothing_raises(self):
        self.states["TakeLease"]["Retry"][0]["ErrorEquals"].append("Confict")
        self.assert_fault("TakeLease waits for the error 'Confict'")

    def test_a_state_without_a_comment(self):
        del self.states["Ended"]["Comment"]
        self.assert_fault("Ended has no Comment")

    def test_an_answer_that_no_choice_takes(self):
        del self.states["AfterStep"]["Choices"][3]
        self.assert_fault("AfterStep takes ['answer', 'bake', 'check', 'done', 'look', 'pods', 'stuck'] where AdvanceRollout answers")

    def test_a_choice_without_a_default(self):
        del self.states["AfterLease"]["Default"]
        self.assert_fault("AfterLease has no Default")

    def test_a_timeout_below_the_functions_own(self):
        self.states["AdvanceRollout"]["TimeoutSeconds"] = 60
        self.assert_fault("AdvanceRollout needs a TimeoutSeconds above its function's 60")

    def test_a_state_that_does_not_catch_preempted(self):
        self.states["AwaitPods"]["Catch"].pop(0)
        self.assert_fault("AwaitPods must catch Preempted first")

    def test_a_state_that_retries_everything(self):
        self.states["CheckGates"]["Retry"].append({"ErrorEquals": ["States.ALL"], "MaxDelaySeconds": 9})
        self.assert_fault("CheckGates must retry named errors")

    def test_a_state_that_is_never_reached(self):
        self.states["Lost"] = {"Type": "Succeed", "Comment": "nobody comes here"}
        self.assert_fault("Lost is never reached")

    def test_machines_that_drift_apart(self):
        other = copy.deepcopy(self.machine)
        other["States"]["Stuck"]["Comment"] = "something else"
        self.assertEqual(machines.difference(self.machine, other), ["Stuck differs between the two machines"])


class Template(unittest.TestCase):
    def setUp(self):
        self.template = copy.deepcopy(TEMPLATE)
        self.resources = self.template["Resources"]

    def faults(self, check) -> list[str]:
        return check(template.processed(self.template, {}))

    def assert_fault(self, check, part: str):
        faults = self.faults(check)
        self.assertTrue(any(part in fault for fault in faults), faults)

    def test_a_table_without_recovery_retention_or_expiry(self):
        del self.resources["Table"]["Properties"]["PointInTimeRecoverySpecification"]
        del self.resources["Table"]["DeletionPolicy"]
        self.resources["Table"]["Properties"]["TimeToLiveSpecification"]["AttributeName"] = "ttl"
        self.assertEqual(len(self.faults(template.table_faults)), 3)

    def test_a_rule_without_dead_letters(self):
        del self.resources["ReceivePush"]["Properties"]["Events"]["Push"]["Properties"]["DeadLetterConfig"]
        self.assert_fault(template.delivery_faults, "ReceivePushPush needs the dead-letter queue")

    def test_an_asynchronous_function_without_dead_letters(self):
        del self.resources["RollBack"]["Properties"]["EventInvokeConfig"]
        self.assert_fault(template.delivery_faults, "RollBack needs retries")

    def test_a_machine_that_calls_an_alias(self):
        self.resources["RollbackMachine"]["Properties"]["DefinitionSubstitutions"]["AwaitPods"] = {"Ref": "AwaitPods.Alias"}
        self.assert_fault(template.machine_faults, "RollbackMachine lacks functions by version")

    def test_a_machine_that_may_call_too_much(self):
        self.resources["RollbackMachineRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"][0]["Resource"].append({"Fn::Sub": "${Operate.Arn}:*"})
        self.assert_fault(template.machine_faults, "RollbackMachine lacks a role for exactly")

    def test_a_log_that_holds_tokens(self):
        self.resources["PromotionMachine"]["Properties"]["Logging"]["IncludeExecutionData"] = True
        self.assert_fault(template.machine_faults, "without execution data")

    def test_a_dashboard_that_shows_nothing(self):
        source = (ROOT / "shared/lambda/src/metrics.rs").read_text()
        body = self.resources["Dashboard"]["Properties"]["DashboardBody"]
        for found, wrong, fault in (
            ("\"Promotions\"", "\"Promotion\"", "Dashboard shows Promotion, which nothing measures"),
            ("ispresent(Stuck)", "ispresent(Stock)", "Dashboard shows Stock"),
            ("TrackWeight", "Trackweight", "Dashboard does not show TrackWeight"),
            ("${SweepLog}", "${SweepLogs}", "Dashboard names SweepLogs"),
            ("${EnvironmentStuck.Arn}", "${Stuck.Arn}", "Dashboard names Stuck"),
            ("\"x\": 8, \"y\": 4", "\"x\": 7, \"y\": 4", "lie over each other"),
            ("\"x\": 16", "\"x\": 17", "wider than the page"),
        ):
            with self.subTest(fault):
                text = body["Fn::Sub"]
                self.assertIn(found, text)
                self.resources["Dashboard"]["Properties"]["DashboardBody"] = {"Fn::Sub": text.replace(found, wrong)}
                self.assert_fault(lambda one: template.dashboard_faults(one, source), fault)
        self.resources["Dashboard"]["Properties"]["DashboardBody"] = body
        self.assertEqual(self.faults(lambda one: template.dashboard_faults(one, source)), [])

    def test_a_metric_that_nobody_counts(self):
        source, functions = (ROOT / "shared/lambda/src/metrics.rs").read_text(), template.function_sources()
        self.assertEqual(template.metric_faults(source, functions), [])
        for code, fault in (
            ("Metrics::StandardOutput.weights(", "TrackWeight is counted by no function"),
            ("Metric::Releases", "Releases is counted by no function"),
            ("Metric::Stuck", "Stuck is counted by no function"),
        ):
            with self.subTest(fault):
                self.assertIn(code, functions)
                self.assertEqual(template.metric_faults(source, functions.replace(code, "nothing(")), [fault])
        self.assertEqual(template.metric_faults("", functions), ["no metric is named"])

    def test_versions_that_are_thrown_away(self):
        del self.resources["TakeLease"]["UpdateReplacePolicy"]
        self.assert_fault(template.machine_faults, "must be kept")

    def test_a_parameter_that_never_reaches_a_version(self):
        del self.resources["TakeLease"]["Properties"]["VersionDescription"]
        faults = template.version_faults(self.template)
        self.assertEqual([fault[:16] for fault in faults], ["TakeLeaseVersion"] * 2)

    def test_a_layer_that_never_reaches_a_version(self):
        usual = self.resources["TakeLease"]["Properties"]["VersionDescription"]
        self.resources["RunHelm"]["Properties"]["VersionDescription"] = usual
        self.assertIn("when the function's layer changes", " ".join(template.version_faults(self.template)))

    def test_helm_as_anybody(self):
        trust = self.resources["HelmRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"][0]
        trust["Condition"]["StringLike"]["sts:RoleSessionName"].append("*")
        self.assert_fault(template.helm_faults, "HelmRole may be taken by others")

    def test_a_layer_for_another_machine(self):
        self.resources["HelmLayer"]["Properties"]["CompatibleArchitectures"] = ["x86_64"]
        self.assert_fault(template.helm_faults, "its layer is for [['x86_64']]")

    def test_a_layer_that_is_thrown_away(self):
        self.resources["HelmLayer"]["Properties"]["RetentionPolicy"] = "Delete"
        self.assert_fault(template.helm_faults, "must be kept")

    def test_secrets_that_nobody_named(self):
        statements = self.resources["RunCheckRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
        [place] = [place for place, one in enumerate(statements) if "NamedSecrets" in str(one)]
        statements[place] = statements[place]["Fn::If"][1]
        self.assertIn("Secrets is allowed though SecretArns names nothing", template.parameter_faults(self.template))

    def test_functions_outside_the_network_that_was_named(self):
        del self.template["Globals"]["Function"]["VpcConfig"]
        self.assertIn("Sweep is not in the VPC that was named", template.parameter_faults(self.template))

    def test_an_action_and_a_wildcard_that_nobody_explained(self):
        statement = self.resources["OperateRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"][0]
        statement["Action"], statement["Resource"] = ["dynamodb:*"], "*"
        faults = template.permission_faults(template.processed(self.template, OPEN), PERMISSIONS)
        self.assertEqual([fault.split(":")[0] for fault in faults], ["OperateRole Table", "OperateRole Table", "docs/permissions.md is wrong about operate, which may cloudwatch"])

    def test_a_reason_for_what_is_not_there(self):
        page = PERMISSIONS.replace("| `VpcAccess` |", "| `SweepRole, VpcAccess` |")
        faults = template.permission_faults(template.processed(self.template, OPEN), page)
        self.assertEqual(faults, ["docs/permissions.md explains a * that is not there: SweepRole NetworkInterfaces"])

    def test_a_function_without_a_crate_and_a_crate_without_a_function(self):
        self.resources["CloseGates"] = self.resources.pop("CheckGates")
        faults = template.crate_faults(self.template)
        self.assertIn("CloseGates is built from check-gates, not from close-gates", faults)
        self.resources["CloseGates"]["Properties"]["CodeUri"] = "../functions/close-gates/"
        faults = template.crate_faults(self.template)
        self.assertEqual(faults, ["CloseGates has no crate functions/close-gates", "functions/check-gates is no function of the template"])


class Cluster(unittest.TestCase):
    def setUp(self):
        self.roles = cluster.documents("10-rbac.yaml")
        self.policy = cluster.documents("20-fence-policy.yaml")[0]
        self.bindings = cluster.documents("namespace.yaml.example")

    def faults(self) -> list[str]:
        return cluster.faults_of(self.roles, self.policy, self.bindings)

    def test_in_order(self):
        self.assertEqual(self.faults(), [])

    def test_a_kind_that_is_changed_unfenced(self):
        self.roles[0]["rules"].append({"apiGroups": ["batch"], "resources": ["cronjobs"], "verbs": ["patch"]})
        self.assertEqual(self.faults(), ["sluice-deployer may change cronjobs, which the fence does not know"])

    def test_a_config_map_that_is_not_the_fence(self):
        rule = next(rule for rule in self.roles[0]["rules"] if "resourceNames" in rule)
        rule["resourceNames"].append("settings")
        self.assertIn("sluice-deployer may change configmaps sluice-fence settings, which the fence does not know", self.faults())
        del rule["resourceNames"]
        self.assertIn("sluice-deployer may change configmaps, which the fence does not know", self.faults())

    def test_secrets_and_deletion_are_helms_alone(self):
        self.roles[1]["rules"][0]["resources"].append("secrets")
        self.roles[1]["rules"][1]["verbs"].append("delete")
        self.assertEqual(sorted(self.faults()), ["sluice-observer has delete", "sluice-observer has secrets", "sluice-observer may write"])

    def test_rights_that_helm_must_not_have(self):
        helm = next(role for role in self.roles if role["metadata"]["name"] == "sluice-helm")
        helm["rules"].append({"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["escalate"]})
        self.assertEqual(self.faults(), ["sluice-helm has escalate", "sluice-helm has roles"])

    def test_what_helm_may_write_everywhere(self):
        wide = next(role for role in self.roles if role["metadata"]["name"] == "sluice-helm-cluster")
        wide["rules"][0]["verbs"].append("create")
        self.assertEqual(self.faults(), ["sluice-helm-cluster may write"])

    def test_helms_fence_that_does_not_see_everything(self):
        policy, binding = cluster.documents("30-helm-fence-policy.yaml")
        self.assertEqual(cluster.helm_faults_of(policy, binding) + cluster.shut_of(policy, binding), [])
        policy["spec"]["matchConstraints"]["resourceRules"][0]["operations"].remove("DELETE")
        policy["spec"]["matchConditions"].pop(0)
        policy["spec"]["failurePolicy"] = "Ignore"
        binding["spec"]["paramRef"]["name"] = "other"
        binding["spec"]["matchResources"] = {"namespaceSelector": {}}
        self.assertEqual(len(cluster.helm_faults_of(policy, binding)), 4)
        self.assertEqual(len(cluster.shut_of(policy, binding)), 1)

    def test_rights_that_go_round_the_fence(self):
        self.roles[0]["rules"][0]["resources"].append("deployments/scale")
        self.roles[0]["rules"][0]["verbs"].append("delete")
        self.assertEqual(len(self.faults()), 3)

    def test_an_observer_that_writes(self):
        self.roles[1]["rules"][0]["verbs"].append("create")
        self.assertEqual(self.faults(), ["sluice-observer may write"])

    def test_a_group_that_is_bound_to_the_wrong_role(self):
        self.bindings[1]["subjects"][0]["name"] = "sluice:deployers"
        self.assertIn("namespace.yaml.example binds", self.faults()[0])


class Samplconfig(unittest.TestCase):
    def setUp(self):
        self.text = (ROOT / "samplconfig.toml").read_text()

    def faults(self, before: str, after: str) -> list[str]:
        self.assertIn(before, self.text)
        return samplconfig.faults_of(tomllib.loads(self.text.replace(before, after)), TEMPLATE["Parameters"])

    def test_in_order(self):
        self.assertEqual(self.faults("version", "version"), [])

    def test_an_unknown_environment(self):
        faults = self.faults("[staging.", "[stagng.")
        self.assertEqual(faults, ["has the unknown environment [stagng]", "lacks the environment [staging]"])

    def test_an_unknown_table(self):
        self.assertIn("[default.deploi] is no table", " ".join(self.faults("[default.deploy.", "[default.deploi.")))
        self.assertIn("[default.deploy] is no table", " ".join(self.faults("[default.deploy.parameters]", "[default.deploy.parameter]")))

    def test_an_unknown_option_parameter_and_value(self):
        self.assertIn("unknown option confirm_changset", " ".join(self.faults("confirm_changeset", "confirm_changset")))
        self.assertIn("parameter LogRetention,", " ".join(self.faults("LogRetentionDays", "LogRetention")))
        self.assertIn("sets LogRetentionDays to 31", " ".join(self.faults("Days=30", "Days=31")))

    def test_a_version_that_sam_does_not_take(self):
        self.assertEqual(len(self.faults("version = 0.1", "version = 1")), 1)

    def test_a_value_that_does_not_arrive(self):
        """SAM passes over the misspelt table, and what CloudFormation is told shows it."""
        wanted = tomllib.loads(self.text)["staging"]["deploy"]["parameters"]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "samplconfig.toml"
            path.write_text(self.text.replace('"LogRetentionDays=30"', '"LogRetentionDays=545"'))
            faults = samplconfig.told_faults("staging", wanted, stand_in.told_by_deploy(path, "staging"))
        self.assertEqual(faults, ["[staging] LogRetentionDays=30 arrived as 545"])


if __name__ == "__main__":
    unittest.main()
