"""Step Functions: time-outs, heartbeats, tokens, nested executions, error names, and the state machine's own role."""
import contextvars
import json
import threading
import time

from ministack.core.responses import get_account_id, get_region
from ministack.services import lambda_svc
from ministack.services import stepfunctions as states

from .permissions import refusal

_call_lambda = states._call_lambda
_invoke_with_callback = states._invoke_with_callback
_run_execution = states._run_execution
_start_execution = states._start_execution
_execute_task = states._execute_task
_invoke_resource = states._invoke_resource
_apply_jsonata_arguments = states._apply_jsonata_arguments
_apply_parameters = states._apply_parameters

# A callback task runs its function on the thread of its state; the token is what a failure there must fail.
_callback = threading.local()
_role = contextvars.ContextVar("state_machine_role", default="")


def _fail_token(token, error, cause):
    waiting = states._task_tokens.get(token)
    if waiting:
        waiting["error"] = {"Error": error, "Cause": cause}
        waiting["event"].set()


def _in_background(target, *arguments, after=None):
    """On a daemon thread that keeps this request's account and region."""
    context = contextvars.copy_context()
    if after is None:
        thread = threading.Thread(target=context.run, args=(target, *arguments), daemon=True)
    else:
        thread = threading.Timer(after, context.run, (target, *arguments))
        thread.daemon = True
    thread.start()


# -- functions ---------------------------------------------------------------------------------------------------
def _name_throttle(error):
    if error.error == "Lambda.Unknown" and "TooManyRequestsException" in (error.cause or ""):
        error.error = "Lambda.TooManyRequestsException"


def call_lambda(reference, event):
    """A refusal or a failure under waitForTaskToken ends the task: MiniStack alone would wait for the token for ever."""
    try:
        _, config, _ = lambda_svc._get_func_record_for_ref(reference)
        if config:
            _require("Lambda.AWSLambdaException", "lambda:InvokeFunction", config["FunctionArn"])
        return _call_lambda(reference, event)
    except states._ExecutionError as error:
        _name_throttle(error)
        if getattr(_callback, "token", None):
            _fail_token(_callback.token, error.error, error.cause)
        raise


def _watch_heartbeat(token, limit, done):
    last, seen = time.time(), None
    while not done.wait(0.05):
        waiting = states._task_tokens.get(token)
        if waiting and waiting.get("heartbeat") != seen:
            last, seen = time.time(), waiting["heartbeat"]
        if waiting and time.time() - last > limit:
            return _fail_token(token, "States.HeartbeatTimeout", f"No heartbeat within {limit}s")


def invoke_with_callback(resource, data, token, state):
    limit, done = state.get("HeartbeatSeconds"), threading.Event()
    if isinstance(limit, (int, float)):
        _in_background(_watch_heartbeat, token, limit, done)
    _callback.token = token
    try:
        return _invoke_with_callback(resource, data, token, state)
    finally:
        _callback.token = None
        done.set()


def fresh_token(apply):
    """A new task token for each attempt, as AWS gives."""
    def applied(state, data, context):
        if ".waitForTaskToken" in state.get("Resource", "") and "Task" in context:
            context["Task"] = {"Token": states.new_uuid()}
        return apply(state, data, context)
    return applied


# -- tasks -------------------------------------------------------------------------------------------------------
def _literal_timeouts(state, raw_input, context):
    """The state with time-outs given by path or JSONata turned into the literals that the interpreter reads."""
    fields = ("TimeoutSeconds", "HeartbeatSeconds")
    if states._state_query_language(state, context) == "JSONata":
        found = {field: states._jsonata_state_field(state, field, "number", raw_input, context)
                 for field in fields if isinstance(state.get(field), str)}
    else:
        data = states._apply_input_path(state, raw_input, context)
        found = {field: states._resolve_path_or_ctx(state[field + "Path"], data, context)
                 for field in fields if field + "Path" in state}
    if not found:
        return state
    return {key: value for key, value in state.items() if key not in [field + "Path" for field in fields]} | found


def execute_task(state, raw_input, execution, context):
    machine = states._state_machines.get((execution or {}).get("stateMachineArn", "")) or {}
    role = _role.set(machine.get("roleArn", ""))
    try:
        return _execute_task(_literal_timeouts(state, raw_input, context), raw_input, execution, context)
    finally:
        _role.reset(role)


def _require(error, action, resource_arn):
    """Raise as Step Functions does when the state machine's own role may not do this."""
    refused = refusal(_role.get(), action, resource_arn)
    if refused:
        who = getattr(refused, "principal_arn", "?")
        raise states._ExecutionError(
            error, f"User: {who} is not authorized to perform: {action} on resource: {resource_arn}")


def invoke_resource(resource, data):
    if resource.startswith("arn:aws:states:::dynamodb:"):
        call = resource.rsplit(":", 1)[-1]
        table = f"arn:aws:dynamodb:{get_region()}:{get_account_id()}:table/{data.get('TableName')}"
        _require("DynamoDB.AccessDeniedException", "dynamodb:" + call[0].upper() + call[1:], table)
    elif resource.startswith("arn:aws:states:::states:startExecution"):
        _require("StepFunctions.AccessDeniedException", "states:StartExecution", data.get("StateMachineArn"))
    return _invoke_resource(resource, data)


# -- executions --------------------------------------------------------------------------------------------------
def _expire(execution):
    if execution["status"] == "RUNNING":
        execution.update(status="TIMED_OUT", stopDate=states.now_iso())
        states._add_event(execution, "ExecutionTimedOut", {"executionTimedOutEventDetails": {}})
        states._emit_execution_status_event(execution)


def run_execution(arn):
    """Honour the state machine's own TimeoutSeconds."""
    execution = states._executions.get(arn) or {}
    machine = states._state_machines.get(execution.get("stateMachineArn", "")) or {}
    limit = json.loads(machine.get("definition") or "{}").get("TimeoutSeconds")
    if isinstance(limit, (int, float)):
        _in_background(_expire, execution, after=limit)
    return _run_execution(arn)


def start_execution(data):
    """The same name with the same input, while it runs, answers with the execution that runs."""
    machine = states._state_machines.get(states._resolve_state_machine_arn(data.get("stateMachineArn", "")) or "")
    if machine and data.get("name"):
        arn = f"arn:aws:states:{get_region()}:{get_account_id()}:execution:{machine['name']}:{data['name']}"
        running = states._executions.get(arn)
        if running and running["status"] == "RUNNING" and running["input"] == data.get("input", "{}"):
            return states.json_response({"executionArn": arn, "startDate": running["startDate"]})
    return _start_execution(data)


def nested_sync(resource, data):
    """A nested execution is a real one (unique name, events); its failure is States.TaskFailed."""
    status, _, body = states._start_execution(states._nested_start_execution_request(data))
    started = json.loads(body)
    if status >= 400:
        name = started.get("__type", "").split("#")[-1]
        raise states._ExecutionError(f"StepFunctions.{name}Exception", started.get("message", ""))
    while True:
        described = json.loads(states._describe_execution({"executionArn": started["executionArn"]})[2])
        if described["status"] != "RUNNING":
            break
        time.sleep(0.02)
    output = {key[0].upper() + key[1:]: value for key, value in described.items()}
    if described["status"] != "SUCCEEDED":
        raise states._ExecutionError("States.TaskFailed", json.dumps(output))
    if resource.endswith(".sync:2"):
        output["Output"] = json.loads(output.get("Output") or "{}")
    return output


class _ImpatientTime:
    """The module `time`, but for the 150 ms that MiniStack sleeps before every execution."""

    def __getattr__(self, name):
        return getattr(time, name)

    def sleep(self, seconds):
        time.sleep(0.002 if seconds == 0.15 else seconds)


def install():
    states._call_lambda, states._invoke_with_callback = call_lambda, invoke_with_callback
    states._execute_task, states._invoke_resource = execute_task, invoke_resource
    states._run_execution, states._start_execution = run_execution, start_execution
    states._invoke_nested_start_execution_sync = nested_sync
    states._apply_jsonata_arguments = fresh_token(_apply_jsonata_arguments)
    states._apply_parameters = fresh_token(_apply_parameters)
    states.time = _ImpatientTime()
