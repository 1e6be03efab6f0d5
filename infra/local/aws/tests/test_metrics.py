import json
import time
import unittest

from ministack.services import cloudwatch
from ministack_plugin import metric_math

from .support import PluginTest


def series(expression, **known):
    queries = [{"Id": name, "MetricStat": name} for name in known] + [{"Id": "x", "Expression": expression}]
    return metric_math.evaluate(queries, known.get)["x"]


class Math(unittest.TestCase):
    def test_point_by_point(self):
        for expression, expected in [
            ("m1 + m2", [11.0, None]),
            ("100 * m1 / m2", [10.0, None]),
            ("m1 / 0", [None, None]),
            ("-m1 ^ 2", [-1.0, -4.0]),
            ("FILL(m2, 0) + m1", [11.0, 2.0]),
            ("IF(m1 > 1, m1, 7)", [7.0, 2.0]),
            ("IF(m1 > 1 AND m1 < 9, 1, 0)", [0.0, 1.0]),
            ("SUM([m1, m2])", [11.0, 2.0]),
            ("SUM(METRICS())", [11.0, 2.0]),
            ("SUM(m1)", [3.0, 3.0]),
            ("MAX([m1, m2]) - MIN([m1, m2])", [9.0, 0.0]),
        ]:
            with self.subTest(expression):
                self.assertEqual(series(expression, m1=[1.0, 2.0], m2=[10.0, None]), expected)

    def test_what_is_not_known_is_refused(self):
        for expression in ["SEARCH('x')", "m1 +", "__import__('os')", "m1.real", "lambda: 1", "m1 + 'a'", "m9", "x"]:
            with self.subTest(expression), self.assertRaises(metric_math.Unsupported):
                series(expression, m1=[1.0])

    def test_expressions_of_expressions(self):
        queries = [{"Id": "c", "Expression": "b * 2"}, {"Id": "b", "Expression": "m + 1"}, {"Id": "m", "MetricStat": "m"}]
        self.assertEqual(metric_math.evaluate(queries, lambda _: [1.0])["c"], [4.0])


class Data(PluginTest):
    def setUp(self):
        super().setUp()
        cloudwatch._metrics.clear()
        self.addCleanup(cloudwatch._metrics.clear)

    def ask(self, *queries, **options):
        answer = cloudwatch._get_metric_data({}, {"MetricDataQueries": list(queries)} | options, False, True)
        return {one["Id"]: one["Values"] for one in json.loads(answer[2])["MetricDataResults"]}

    def query(self, name, *dimensions):
        dimensions = [{"Name": "Service", "Value": value} for value in dimensions]
        metric = {"Namespace": "X", "MetricName": "Requests", "Dimensions": dimensions}
        return {"Id": name, "MetricStat": {"Metric": metric, "Period": 10, "Stat": "Sum"}}

    def test_a_metric_is_its_exact_dimensions(self):
        at = time.time() // 10 * 10
        for service, value, when in [("blue", 1.0, at), ("blue", 2.0, at - 10), ("green", 5.0, at), (None, 9.0, at)]:
            dimensions = {"Service": service} if service else {}
            cloudwatch._store_datum("X", "Requests", dimensions, when, "None", value, None, None, None)
        asked = self.ask(self.query("blue", "blue"), self.query("all"), self.query("none", "other"),
                         {"Id": "both", "Expression": "blue + all"})
        self.assertEqual(asked, {"blue": [1.0, 2.0], "all": [9.0], "none": [], "both": [10.0]})
        self.assertEqual(self.ask(self.query("blue", "blue"), ScanBy="TimestampAscending"), {"blue": [2.0, 1.0]})
