"""CloudWatch alarms: exact dimensions, M of N datapoints, missing data, a clock, times in milliseconds, and events on every
transition."""
import os
import threading
import time

from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import cloudwatch

from .events import emit

_record_history = cloudwatch._record_history

_BREACHES = {
    "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
    "GreaterThanThreshold": lambda value, threshold: value > threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
    "LessThanOrEqualToThreshold": lambda value, threshold: value <= threshold,
}


def _configuration(alarm):
    if alarm.get("AlarmRule"):
        return {"alarmRule": alarm["AlarmRule"]}
    metric = {"namespace": alarm.get("Namespace"), "name": alarm.get("MetricName"),
              "dimensions": {d["Name"]: d["Value"] for d in alarm.get("Dimensions") or []}}
    stat = {"metric": metric, "period": alarm.get("Period"), "stat": alarm.get("Statistic")}
    return {"metrics": [{"id": "m1", "metricStat": stat, "returnData": True}]}


def _text(now, zone):
    """A time in milliseconds, as CloudWatch has them."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}{zone}"


def record_history(name, old, new, reason, alarm_type="MetricAlarm", reason_data=None):
    _record_history(name, old, new, reason, alarm_type, reason_data)
    # Whole seconds would put what happened after a moment before it.
    now = time.time()
    cloudwatch._history_entries()[-1]["Timestamp"] = _text(now, "Z")
    if old == new:
        return
    alarm = cloudwatch._alarms.get(name) or cloudwatch._composite_alarms.get(name) or {}
    alarm.update(StateUpdatedTimestamp=now, StateTransitionedTimestamp=now)
    at = _text(now, "+0000")
    emit("aws.cloudwatch", "CloudWatch Alarm State Change", {
        "alarmName": name,
        "state": {"value": new, "reason": reason, "timestamp": at},
        "previousState": {"value": old, "timestamp": at},
        "configuration": _configuration(alarm),
    }, [f"arn:aws:cloudwatch:{get_region()}:{get_account_id()}:alarm:{name}"])


def datapoints(alarm, now):
    """One value per period, newest first; None where nothing was reported for these very dimensions."""
    wanted = {d["Name"]: d["Value"] for d in alarm.get("Dimensions") or []}
    points = [point for (namespace, metric, _), points in list(cloudwatch._metrics.items())
              if namespace == alarm["Namespace"] and metric == alarm["MetricName"]
              for point in points if dict(point.get("Dimensions") or {}) == wanted]
    period, periods = int(alarm.get("Period") or 60), int(alarm.get("EvaluationPeriods") or 1)
    statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic") or "Average"
    values = []
    for i in range(periods):
        start, end = now - period * (i + 1), now - period * i + (1 if i == 0 else 0)
        window = [p for p in points if start <= p["Timestamp"] < end]
        values.append(cloudwatch._stat_value(cloudwatch._calc_stats(window), statistic, window) if window else None)
    return values


def judge(alarm, values):
    """The state that these datapoints put the alarm in, and how many of them breach."""
    treatment = alarm.get("TreatMissingData") or "missing"
    breaches = _BREACHES[alarm["ComparisonOperator"]]
    breaching = sum(treatment == "breaching" if v is None else breaches(v, alarm["Threshold"]) for v in values)
    all_missing = all(v is None for v in values)
    if breaching >= int(alarm.get("DatapointsToAlarm") or len(values)):
        return "ALARM", breaching
    if all_missing and treatment == "missing":
        return "INSUFFICIENT_DATA", breaching
    if all_missing and treatment == "ignore":
        return alarm["StateValue"], breaching
    return "OK", breaching


def evaluate(alarm):
    if not alarm.get("MetricName") or alarm.get("ComparisonOperator") not in _BREACHES:
        return
    now = time.time()
    values = datapoints(alarm, now)
    old, (new, breaching) = alarm["StateValue"], judge(alarm, values)
    if new == old or now < alarm.get("_hold_until", 0):
        return
    reason = (f"Threshold Crossed: {breaching} of {len(values)} datapoints "
              f"{alarm['ComparisonOperator']} {alarm['Threshold']}")
    alarm.update(StateValue=new, StateReason=reason, StateUpdatedTimestamp=int(now))
    cloudwatch._record_history(alarm["AlarmName"], old, new, reason)
    cloudwatch._dispatch_alarm_actions(alarm, old, new, reason)
    cloudwatch._evaluate_parent_alarms(alarm)


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
