"""IAM: checks on behalf of a role that calls nothing over HTTP, and a record of everything that was checked."""
import json
import os
import threading
import time

from ministack import app
from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_region
from ministack.services import sts

_enforce, _extract_iam_action = iam_evaluator.enforce, iam_actions.extract_iam_action
_lock = threading.Lock()


def refusal(role_arn, action, resource_arn):
    """None when the role may do it (or nothing is checked); else what MiniStack answers in place of the result."""
    if not app.AUTH or not role_arn:
        return None
    account = role_arn.split(":")[4]
    key = "ASIAMSP" + role_arn.encode().hex()[-32:].upper()
    sts.register_session(key, {
        "Arn": f"arn:aws:sts::{account}:assumed-role/{role_arn.rsplit('/', 1)[-1]}/states", "UserId": "states",
        "SecretAccessKey": "x", "SessionToken": "x", "AccountId": account, "PrincipalType": "AssumedRole"})
    verified = iam_evaluator._verified_key.set(key)
    try:
        return iam_evaluator.enforce(key, action, action.split(":")[0], get_region(), resource_arn=resource_arn)
    finally:
        iam_evaluator._verified_key.reset(verified)


def enforce(access_key_id, iam_action, service, region, resource_arn="*", service_context=None):
    refused = _enforce(access_key_id, iam_action, service, region, resource_arn, service_context)
    _record(access_key_id, iam_action, resource_arn, refused)
    return refused


def _record(access_key_id, action, resource_arn, refused):
    path = os.environ.get("MSP_PERMISSIONS_LOG")
    caller = path and (iam_evaluator.resolve_caller_identity(access_key_id or "") or {}).get("userArn")
    if not caller or caller.endswith(":root"):
        return
    line = json.dumps({"at": time.time(), "principal": caller, "action": action, "resource": resource_arn,
                       "allowed": refused is None})
    with _lock, open(path, "a") as log:
        log.write(line + "\n")


def extract_iam_action(service, method, path, headers, *rest):
    """CloudWatch's protocol in the newer SDKs names the operation in the path, which MiniStack takes for no action: it is not
    checked, but recorded, so that what is granted can be compared with what is used."""
    found = _extract_iam_action(service, method, path, headers, *rest)
    if found is None and service == "monitoring" and "/operation/" in path:
        _record(app.extract_access_key_id(headers, {}), "cloudwatch:" + path.rsplit("/", 1)[-1], "*", None)
    return found


def evict_expired_sessions():
    """MiniStack's own goes through the sessions while threads of running executions add theirs, which ends one of these
    executions with "dictionary changed size during iteration"."""
    now = time.time()
    for key, session in list(sts._sessions.items()):
        if isinstance(session.get("Expiration"), (int, float)) and now > session["Expiration"]:
            sts._sessions.pop(key, None)


def install():
    iam_evaluator.enforce, iam_actions.extract_iam_action = enforce, extract_iam_action
    sts._evict_expired_sessions = evict_expired_sessions
