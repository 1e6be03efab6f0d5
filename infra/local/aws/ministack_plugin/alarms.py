"""CloudWatch alarms: exact dimensions, M of N datapoints, missing data, metric math, a clock, events and a history."""
import json
import os
import threading
import time
from datetime import datetime, timezone

from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import cloudwatch

from . import metric_math, metrics
from .events import emit

_put_metric_alarm = cloudwatch._put_metric_alarm

_BREACHES = {
    "GreaterThanOrEqualToThreshold": (lambda value, threshold: value >= threshold, "greater than or equal to"),
    "GreaterThanThreshold": (lambda value, threshold: value > threshold, "greater than"),
    "LessThanThreshold": (lambda value, threshold: value < threshold, "less than"),
    "LessThanOrEqualToThreshold": (lambda value, threshold: value <= threshold, "less than or equal to"),
}


def _iso(at):
    """With milliseconds, as AWS has it in events."""
    return datetime.fromtimestamp(at, tz=timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"


# -- what is told of a transition ------------------------------------------------------------------------------------
def _metric(stat):
    metric = stat["Metric"]
    return {"metric": {"namespace": metric.get("Namespace"), "name": metric.get("MetricName"),
                       "dimensions": {d["Name"]: d["Value"] for d in metric.get("Dimensions") or []}},
            "period": stat.get("Period"), "stat": stat.get("Stat")}


def _configuration(alarm):
    if alarm.get("AlarmRule"):
        return {"alarmRule": alarm["AlarmRule"]}
    entries = []
    for query in queries_of(alarm):
        entry = {"id": query["Id"], "returnData": query.get("ReturnData", True)}
        if query.get("Expression"):
            entry |= {"expression": query["Expression"], "label": query.get("Label") or query["Id"]}
        else:
            entry["metricStat"] = _metric(query["MetricStat"])
        entries.append(entry)
    return {"metrics": entries}


def record_history(name, old, new, reason, alarm_type="MetricAlarm", reason_data=None):
    """Every change of an alarm's state comes here: its times, its entry in the history, its event."""
    now, alarm = time.time(), cloudwatch._alarms.get(name) or cloudwatch._composite_alarms.get(name) or {}
    if old == new:
        _remember(name, alarm_type, now, "ConfigurationUpdate", f'Alarm "{name}" created', {"type": "Create"})
        return
    state = {"value": new, "reason": reason, "timestamp": _iso(now)}
    before = alarm.get("_told") or {"value": old, "timestamp": _iso(alarm.get("StateUpdatedTimestamp") or now)}
    if reason_data is not None:
        state["reasonData"] = json.dumps(reason_data)
    alarm |= {"StateUpdatedTimestamp": now, "StateTransitionedTimestamp": now, "_told": state}
    shown = {"stateValue": new, "stateReason": reason}
    if reason_data is not None:
        shown["stateReasonData"] = reason_data
    _remember(name, alarm_type, now, "StateUpdate", f"Alarm updated from {old} to {new}", {
        "oldState": {"stateValue": old, "stateReason": before.get("reason", "")}, "newState": shown})
    emit("aws.cloudwatch", "CloudWatch Alarm State Change", {
        "alarmName": name, "state": state, "previousState": before, "configuration": _configuration(alarm),
    }, [f"arn:aws:cloudwatch:{get_region()}:{get_account_id()}:alarm:{name}"])


def _remember(name, alarm_type, at, kind, summary, data):
    cloudwatch._history_entries().append({
        "AlarmName": name, "AlarmType": alarm_type, "Timestamp": _iso(at), "HistoryItemType": kind,
        "HistorySummary": summary, "HistoryData": json.dumps({"version": "1.0"} | data)})


def first_alarm_time(arn, start, end):
    """When an alarm was in ALARM first between two times, for AppConfig's monitors: MiniStack reads whole seconds only."""
    name = cloudwatch._alarm_name_from_local_arn(arn)
    alarm = name and (cloudwatch._alarms.get(name) or cloudwatch._composite_alarms.get(name))
    if not alarm:
        return None
    changes = [(cloudwatch._parse_ts(entry["Timestamp"]), json.loads(entry["HistoryData"]))
               for entry in cloudwatch._history_entries()
               if entry["AlarmName"] == name and entry["HistoryItemType"] == "StateUpdate"]
    state = changes[0][1]["oldState"]["stateValue"] if changes else alarm["StateValue"]
    for at, data in changes:
        if at > start and state == "ALARM":
            return start
        state = data["newState"]["stateValue"]
        if start < at <= end and state == "ALARM":
            return at
    return start if state == "ALARM" and not (changes and changes[-1][0] > start) else None


# -- what an alarm looks at ------------------------------------------------------------------------------------------
def queries_of(alarm):
    """An alarm's metrics as MetricDataQueries: one that names a metric itself has one."""
    if alarm.get("Metrics"):
        return alarm["Metrics"]
    metric = {"Namespace": alarm.get("Namespace"), "MetricName": alarm.get("MetricName"),
              "Dimensions": alarm.get("Dimensions") or []}
    stat = {"Metric": metric, "Period": alarm.get("Period"),
            "Stat": alarm.get("ExtendedStatistic") or alarm.get("Statistic") or "Average"}
    return [{"Id": "m1", "MetricStat": stat, "ReturnData": True}]


def _watched(alarm):
    """The one query whose values are compared."""
    queries = queries_of(alarm)
    return next((query for query in queries if query.get("ReturnData", True)), queries[-1])


def period_of(alarm):
    """Of all metrics of an alarm, in seconds; they have the same one."""
    periods = [query["MetricStat"].get("Period") or query.get("Period") for query in queries_of(alarm)
               if query.get("MetricStat")]
    return int((periods or [None])[0] or 60)


def datapoints(alarm, now):
    """One value per period, newest first; None where nothing was reported for these very dimensions."""
    period, periods = period_of(alarm), int(alarm.get("EvaluationPeriods") or 1)

    def values(stat):
        points = metrics.points_of(stat["Metric"])
        return [_value([p for p in points if now - period * (i + 1) <= p["Timestamp"]
                        < now - period * i + (1 if i == 0 else 0)], stat) for i in range(periods)]

    return metric_math.evaluate(queries_of(alarm), values)[_watched(alarm)["Id"]]


def _value(points, stat):
    return cloudwatch._stat_value(cloudwatch._calc_stats(points), stat.get("Stat") or "Average", points) if points else None


# -- judging ---------------------------------------------------------------------------------------------------------
def judge(alarm, values):
    """The state that these datapoints put the alarm in, and how many of them breach."""
    treatment = alarm.get("TreatMissingData") or "missing"
    breaches, _ = _BREACHES[alarm["ComparisonOperator"]]
    breaching = sum(treatment == "breaching" if v is None else breaches(v, alarm["Threshold"]) for v in values)
    all_missing = all(v is None for v in values)
    if breaching >= int(alarm.get("DatapointsToAlarm") or len(values)):
        return "ALARM", breaching
    if all_missing and treatment == "missing":
        return "INSUFFICIENT_DATA", breaching
    if all_missing and treatment == "ignore":
        return alarm["StateValue"], breaching
    return "OK", breaching


def _reason(alarm, values, new, breaching):
    """What AWS says of such a transition."""
    if new == "INSUFFICIENT_DATA":
        return f"Insufficient Data: {len(values)} datapoints were unknown."
    _, words = _BREACHES[alarm["ComparisonOperator"]]
    present = [value for value in values if value is not None]
    shown = ", ".join(str(value) for value in present) or "no datapoints were received"
    count, verb = (breaching, "were") if new == "ALARM" else (len(values) - breaching, "were not")
    return (f"Threshold Crossed: {count} out of the last {len(values)} datapoints [{shown}] {verb} {words} the threshold "
            f"({alarm['Threshold']}).")


def _reason_data(alarm, values, now):
    stat = (_watched(alarm).get("MetricStat") or {}).get("Stat")
    return {"version": "1.0", "queryDate": _iso(now), "startDate": _iso(now - period_of(alarm) * len(values)),
            "statistic": stat, "period": period_of(alarm), "recentDatapoints": [v for v in reversed(values) if v is not None],
            "threshold": alarm["Threshold"]}


def evaluate(alarm):
    if not (alarm.get("MetricName") or alarm.get("Metrics")) or alarm.get("ComparisonOperator") not in _BREACHES:
        return
    now = time.time()
    values = datapoints(alarm, now)
    old, (new, breaching) = alarm["StateValue"], judge(alarm, values)
    if new == old or now < alarm.get("_hold_until", 0):
        return
    reason, data = _reason(alarm, values, new, breaching), _reason_data(alarm, values, now)
    alarm.update(StateValue=new, StateReason=reason, StateReasonData=json.dumps(data))
    cloudwatch._record_history(alarm["AlarmName"], old, new, reason, "MetricAlarm", data)
    cloudwatch._dispatch_alarm_actions(alarm, old, new, reason)
    cloudwatch._evaluate_parent_alarms(alarm)


def put_metric_alarm(params, cbor_data, is_cbor, is_json=False):
    """Alarms on metric math, too; MiniStack forgets their metrics."""
    queries = (cbor_data or {}).get("Metrics")
    if not queries:
        return _put_metric_alarm(params, cbor_data, is_cbor, is_json)
    try:
        metric_math.evaluate(queries, lambda _stat: [None])
    except metric_math.Unsupported as error:
        return cloudwatch._error("ValidationError", str(error), 400, use_json=is_json, use_cbor=is_cbor)
    answer = _put_metric_alarm(params, cbor_data, is_cbor, is_json)
    alarm = cloudwatch._alarms.get(cbor_data.get("AlarmName"))
    if answer[0] == 200 and alarm:
        for key in ("Statistic", "Period", "MetricName", "Namespace", "Dimensions"):
            alarm.pop(key, None)
        alarm["Metrics"] = queries
        evaluate(alarm)
    return answer


def shown(answer):
    """An alarm as it is described: without what only this plugin knows."""
    def strip(alarm):
        return answer({key: value for key, value in alarm.items() if not key.startswith("_")})
    return strip


# -- a clock ---------------------------------------------------------------------------------------------------------
def _tick(every):
    while True:
        time.sleep(every)
        for account, region in {(key[0], key[1]) for key in list(cloudwatch._alarms._data)}:
            with request_scope(account, region):
                cloudwatch._evaluate_all_alarms()


def start_clock():
    every = float(os.environ.get("MSP_ALARM_TICK", "1"))
    threading.Thread(target=_tick, args=(every,), daemon=True).start()


def install():
    cloudwatch._record_history, cloudwatch._evaluate_alarm = record_history, evaluate
    cloudwatch._put_metric_alarm = put_metric_alarm
    cloudwatch._cbor_alarm = shown(cloudwatch._cbor_alarm)
    cloudwatch.first_alarm_time = first_alarm_time
