import time
import unittest

from ministack.services import cloudwatch
from ministack_plugin import alarms

from .support import PluginTest


def alarm(**changes):
    return {"AlarmName": "errors", "Namespace": "Sluice", "MetricName": "Errors", "Statistic": "Sum", "Period": 60,
            "EvaluationPeriods": 3, "Threshold": 5, "ComparisonOperator": "GreaterThanOrEqualToThreshold",
            "StateValue": "OK", "Dimensions": [{"Name": "Release", "Value": "a"}]} | changes


class Judging(unittest.TestCase):
    def test_states(self):
        for values, changes, expected in [
            ([9, 1, 1], {}, "OK"),
            ([9, 9, 9], {}, "ALARM"),
            ([9, 1, 9], {"DatapointsToAlarm": 2}, "ALARM"),
            ([9, None, None], {"DatapointsToAlarm": 2}, "OK"),
            ([None, None, None], {}, "INSUFFICIENT_DATA"),
            ([None, None, None], {"TreatMissingData": "notBreaching"}, "OK"),
            ([None, None, None], {"TreatMissingData": "breaching"}, "ALARM"),
            ([None, None, None], {"TreatMissingData": "ignore", "StateValue": "ALARM"}, "ALARM"),
        ]:
            with self.subTest(values=values, changes=changes):
                self.assertEqual(alarms.judge(alarm(**changes), values)[0], expected)


class Evaluating(PluginTest):
    def setUp(self):
        super().setUp()
        cloudwatch._metrics.clear()
        self.addCleanup(cloudwatch._metrics.clear)

    def point(self, release):
        now = time.time()
        key = ("Sluice", "Errors", release)
        cloudwatch._metrics.setdefault(key, []).append({
            "Timestamp": now, "Value": 9.0, "Dimensions": {"Release": release}, "Unit": "None"})

    def test_another_releases_errors_do_not_count(self):
        self.point("b")
        self.assertEqual(alarms.datapoints(alarm(), time.time()), [None, None, None])
        self.point("a")
        self.assertEqual(alarms.datapoints(alarm(), time.time()), [9.0, None, None])

    def test_a_transition_is_an_event(self):
        self.point("a")
        one = alarm(EvaluationPeriods=1)
        cloudwatch._alarms["errors"] = one
        self.addCleanup(cloudwatch._alarms.pop, "errors", None)
        cloudwatch._evaluate_alarm(one)
        self.assertEqual(one["StateValue"], "ALARM")
        self.assertEqual([event["DetailType"] for event in self.sent], ["CloudWatch Alarm State Change"])
        cloudwatch._evaluate_alarm(one)
        self.assertEqual(len(self.sent), 1, "no transition, no event")

    def test_a_transition_has_its_time_in_milliseconds_in_the_alarm_and_in_its_history(self):
        self.point("a")
        one = alarm(EvaluationPeriods=1)
        cloudwatch._alarms["errors"] = one
        self.addCleanup(cloudwatch._alarms.pop, "errors", None)
        before = time.time()
        cloudwatch._evaluate_alarm(one)
        after = time.time()
        turned = cloudwatch._parse_ts(cloudwatch._history_entries()[-1]["Timestamp"])
        for at in (one["StateTransitionedTimestamp"], one["StateUpdatedTimestamp"], turned):
            self.assertLessEqual(before - 0.001, at)
            self.assertLessEqual(at, after)
