import json
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

    def point(self, release, value=9.0, metric="Errors"):
        cloudwatch._store_datum("Sluice", metric, {"Release": release}, time.time(), "None", value, None, None, None)

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

    def test_a_transition_is_told_with_its_reason_and_to_the_millisecond(self):
        cloudwatch._alarm_history.clear()
        cloudwatch._put_metric_alarm({}, alarm(EvaluationPeriods=1, Period=10), True)
        self.addCleanup(cloudwatch._alarms.pop, "errors", None)
        before = time.time()
        self.point("a")
        one = cloudwatch._alarms["errors"]
        cloudwatch._evaluate_alarm(one)
        created, *changes = cloudwatch._history_entries()
        self.assertEqual(created["HistoryItemType"], "ConfigurationUpdate")
        last = changes[-1]
        self.assertEqual((last["HistoryItemType"], last["HistorySummary"]),
                         ("StateUpdate", "Alarm updated from INSUFFICIENT_DATA to ALARM"))
        # Cut to a millisecond on its way through text: nearer than two of them, and not before what caused it.
        told = cloudwatch._parse_ts(last["Timestamp"])
        self.assertGreater(told, before - 0.002)
        self.assertAlmostEqual(told, one["StateUpdatedTimestamp"], delta=0.002)
        data = json.loads(last["HistoryData"])
        self.assertEqual(data["newState"]["stateReasonData"]["recentDatapoints"], [9.0])
        detail = json.loads(self.sent[-1]["Detail"])
        self.assertEqual(detail["configuration"]["metrics"][0]["metricStat"]["metric"]["dimensions"], {"Release": "a"})
        self.assertEqual(detail["state"]["reason"], data["newState"]["stateReason"])
        self.assertIn("1 out of the last 1 datapoints [9.0] were greater than or equal to", detail["state"]["reason"])

    def test_an_alarm_that_was_on_between_is_found_by_its_time(self):
        cloudwatch._alarm_history.clear()
        cloudwatch._alarms["errors"] = one = alarm()
        self.addCleanup(cloudwatch._alarms.pop, "errors", None)
        start, arn = time.time(), "arn:aws:cloudwatch:us-east-1:000000000000:alarm:errors"
        self.assertIsNone(cloudwatch.first_alarm_time(arn, start, start + 9))
        for old, new in [("OK", "ALARM"), ("ALARM", "OK")]:
            one["StateValue"] = new
            cloudwatch._record_history("errors", old, new, "said so")
        self.assertIsNotNone(cloudwatch.first_alarm_time(arn, start - 1, start + 9))
        self.assertIsNone(cloudwatch.first_alarm_time(arn, time.time() + 1, time.time() + 9))

    def rate(self, **changes):
        stat = {"Stat": "Sum", "Period": 10}
        metric = lambda name: {"Namespace": "Sluice", "MetricName": name, "Dimensions": [{"Name": "Release", "Value": "a"}]}
        return {"AlarmName": "rate", "Threshold": 10.0, "ComparisonOperator": "GreaterThanThreshold",
                "EvaluationPeriods": 1, "Metrics": [
                    {"Id": "errors", "MetricStat": stat | {"Metric": metric("Errors")}, "ReturnData": False},
                    {"Id": "requests", "MetricStat": stat | {"Metric": metric("Requests")}, "ReturnData": False},
                    {"Id": "rate", "Expression": "100 * errors / requests", "Label": "errors, percent"}]} | changes

    def test_an_alarm_on_metric_math(self):
        self.point("a", 1.0)
        self.point("a", 50.0, "Requests")
        self.assertEqual(cloudwatch._put_metric_alarm({}, self.rate(), True)[0], 200)
        self.addCleanup(cloudwatch._alarms.pop, "rate", None)
        one = cloudwatch._alarms["rate"]
        self.assertEqual((one["StateValue"], "MetricName" in one), ("OK", False))
        self.point("a", 9.0)
        cloudwatch._evaluate_alarm(one)
        self.assertEqual(one["StateValue"], "ALARM")
        metrics = json.loads(self.sent[-1]["Detail"])["configuration"]["metrics"]
        self.assertEqual(metrics[2], {"id": "rate", "returnData": True, "expression": "100 * errors / requests",
                                      "label": "errors, percent"})
        wrong = self.rate(Metrics=[{"Id": "x", "Expression": "ANOMALY_DETECTION_BAND(m1)"}])
        self.assertEqual(cloudwatch._put_metric_alarm({}, wrong, True)[0], 400)

    def test_a_composite_alarm_follows_its_children(self):
        cloudwatch._alarms["errors"] = one = alarm(EvaluationPeriods=1, AlarmArn="arn:aws:cloudwatch:x:y:alarm:errors")
        self.addCleanup(cloudwatch._alarms.pop, "errors", None)
        cloudwatch._put_composite_alarm({}, {"AlarmName": "any", "AlarmRule": "ALARM(errors)"}, True)
        self.addCleanup(cloudwatch._composite_alarms.pop, "any", None)
        self.point("a")
        cloudwatch._evaluate_alarm(one)
        self.assertEqual(cloudwatch._composite_alarms["any"]["StateValue"], "ALARM")
        detail = json.loads(self.sent[-1]["Detail"])
        self.assertEqual((detail["alarmName"], detail["configuration"]), ("any", {"alarmRule": "ALARM(errors)"}))

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
