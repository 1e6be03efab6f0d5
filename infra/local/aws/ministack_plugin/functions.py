"""Lambda: warm calls as fast as they can be, asynchronous retries, invocations in flight, callers of Function URLs."""
import contextlib
import json
import os
import socketserver

from ministack.core import iam_evaluator, lambda_runtime
from ministack.core.router import extract_access_key_id
from ministack.services import eventbridge, lambda_svc

_invoke = lambda_runtime.ProvidedWorker.invoke
_build_function_url_event = lambda_svc._build_function_url_event


def dispatch_to_lambda(arn, payload):
    """EventBridge invokes asynchronously: retries, then the on-failure destination."""
    function, config, _ = lambda_svc._get_func_record_for_ref(arn)
    if function and config:
        lambda_svc.invoke_async_with_retry(lambda_svc._execution_record_for_config(function, config), json.loads(payload))


def invoke(self, event, request_id, **options):
    """Say which process serves which invocation while it does, so that a test can kill that one."""
    folder = os.environ.get("MSP_INVOCATIONS")
    if not folder:
        return _invoke(self, event, request_id, **options)
    with contextlib.suppress(Exception):
        # The worker is leased to this call: nobody else starts it meanwhile. A failure shows again in the call itself.
        lambda_runtime.ensure_spawned(self)
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, request_id + ".json")
    with open(path + ".tmp", "w") as file:
        json.dump({"pid": self._proc.pid if self._proc else None, "function": self.func_name, "event": event}, file)
    os.rename(path + ".tmp", path)
    try:
        return _invoke(self, event, request_id, **options)
    finally:
        os.unlink(path)


def function_url_event(url_id, account_id, region, method, path, headers, body, query_params, anonymous=False, **rest):
    """With AuthType AWS_IAM, `requestContext.authorizer.iam` says who called."""
    event = _build_function_url_event(
        url_id, account_id, region, method, path, headers, body, query_params, anonymous=anonymous, **rest)
    if not anonymous:
        key = extract_access_key_id(headers, query_params)
        caller = iam_evaluator.resolve_caller_identity(key) or {}
        event["requestContext"]["authorizer"] = {"iam": {
            "accessKey": key, "accountId": caller.get("accountId") or account_id, "callerId": caller.get("userId"),
            "cognitoIdentity": None, "principalOrgId": None, "userArn": caller.get("userArn"),
            "userId": caller.get("userId")}}
    return event


def _without_delays():
    # 12-16 ms a warm call in place of 99: no Nagle on the Runtime API, no 50 ms wait for one more log line.
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True
    lambda_runtime.Worker._drain_stderr_bounded.__defaults__ = (0.003, 0.003, 0.25)


def install():
    _without_delays()
    eventbridge._dispatch_to_lambda = dispatch_to_lambda
    lambda_runtime.ProvidedWorker.invoke = invoke
    lambda_svc._build_function_url_event = function_url_event
