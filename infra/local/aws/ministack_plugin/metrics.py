"""GetMetricData: a metric is its exact dimensions, expressions are evaluated, and the newest value comes first."""
from collections import defaultdict

from ministack.services import cloudwatch

from . import metric_math

_get_metric_data = cloudwatch._get_metric_data


def points_of(metric):
    """The points of exactly this metric: one without dimensions is another one than any with some."""
    dimensions = cloudwatch._dims_from_list(metric.get("Dimensions") or [])
    key = (metric.get("Namespace"), metric.get("MetricName"), cloudwatch._dims_key(dimensions))
    return list(cloudwatch._metrics.get(key) or [])


def _values(stat, start, end):
    """Values by the beginning of their period."""
    period, buckets = int(stat.get("Period") or 60), defaultdict(list)
    for point in points_of(stat["Metric"]):
        if (start is None or point["Timestamp"] >= start) and (end is None or point["Timestamp"] < end):
            buckets[int(point["Timestamp"] // period) * period].append(point)
    values = {at: cloudwatch._stat_value(cloudwatch._calc_stats(points), stat.get("Stat") or "Average", points)
              for at, points in buckets.items()}
    return {at: value for at, value in values.items() if value is not None}


def get_metric_data(params, cbor_data, is_cbor, is_json=False):
    if not (is_cbor or is_json):
        return _get_metric_data(params, cbor_data, is_cbor, is_json)
    queries = cbor_data.get("MetricDataQueries") or []
    start, end = (cloudwatch._parse_ts(cbor_data.get(name)) for name in ("StartTime", "EndTime"))
    found = {query["Id"]: _values(query["MetricStat"], start, end) for query in queries if query.get("MetricStat")}
    times = sorted({at for values in found.values() for at in values},
                   reverse=cbor_data.get("ScanBy") != "TimestampAscending")
    by_stat = {id(query["MetricStat"]): query["Id"] for query in queries if query.get("MetricStat")}
    try:
        series = metric_math.evaluate(queries, lambda stat: [found[by_stat[id(stat)]].get(at) for at in times])
    except metric_math.Unsupported as error:
        return cloudwatch._error("ValidationError", str(error), 400, use_json=is_json, use_cbor=is_cbor)
    results = [_result(query, times, series[query["Id"]]) for query in queries if query.get("ReturnData", True)]
    answer = {"MetricDataResults": [cloudwatch._cbor_metric_data_result(one) if is_cbor else one for one in results]}
    return cloudwatch._cbor_ok(answer) if is_cbor else cloudwatch._json_ok(answer)


def _result(query, times, values):
    present = [(at, value) for at, value in zip(times, values) if value is not None]
    label = query.get("Label") or (query.get("MetricStat") or {}).get("Metric", {}).get("MetricName") or query["Id"]
    return {"Id": query["Id"], "Label": label, "StatusCode": "Complete",
            "Timestamps": [cloudwatch._ts_iso(at) for at, _ in present], "Values": [float(value) for _, value in present]}


def install():
    cloudwatch._get_metric_data = get_metric_data
