"""MiniStack as Sluice needs it: corrections to behaviours that a deployment controller leans on.

MiniStack (PyPI `ministack`, pinned in ../requirements-ministack.txt) emulates AWS in one process. Each module here
replaces a few of its functions, says what AWS does and does that:

    registry        an image push becomes an EventBridge event; layers have URLs that can be reached
    alarms          alarms are evaluated as CloudWatch does, on metric math too; their transitions become EventBridge events
                    and a history with milliseconds
    metrics         GetMetricData: exact dimensions, expressions (metric_math), the newest value first
    load_balancers  weighted forward actions, target groups in use, targets whose health is what was said of them
    state_machines  time-outs, heartbeats, tokens, nested executions, error names, the state machine's own role
    functions       warm calls without delays, asynchronous retries, invocations in flight, who called a Function URL
    clusters        DescribeCluster and TokenReview for real Kubernetes API servers
    permissions     checks on behalf of a role, and a record of what each role was allowed and refused

`python -m ministack_plugin` takes the same environment variables as `ministack`, and:

    MSP_ALARM_TICK       seconds between evaluations of all alarms (default 1)
    MSP_EKS_CLUSTERS     file with {"<cluster name or ARN>": {"endpoint", "ca" (base64), "webhookToken" (16+ characters)}}
    MSP_INVOCATIONS      folder that holds <request id>.json = {pid, function, event} for every invocation in flight
    MSP_PERMISSIONS_LOG  file that gets one JSON line per permission checked of a role or user (never of root keys)
"""
from . import alarms, clusters, functions, load_balancers, metrics, permissions, registry, state_machines


def install():
    """Put every correction into MiniStack's modules. Once per process."""
    for module in (registry, alarms, metrics, load_balancers, permissions, state_machines, functions, clusters):
        module.install()
