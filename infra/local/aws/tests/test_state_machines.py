import json
import time
import unittest
from unittest import mock

from ministack.core.responses import request_scope
from ministack.services import lambda_svc
from ministack.services import stepfunctions as states

from . import support  # installs the plugin
from ministack_plugin import state_machines

ROLE = "arn:aws:iam::000000000000:role/machine"


class Machine(unittest.TestCase):
    def setUp(self):
        scope = request_scope("000000000000", "us-east-1")
        scope.__enter__()
        self.addCleanup(scope.__exit__, None, None, None)

    def create(self, definition):
        name = self.id().rsplit(".", 1)[-1]
        status, _, body = states._create_state_machine(
            {"name": name, "definition": json.dumps(definition), "roleArn": ROLE})
        self.assertEqual(status, 200, body)
        return json.loads(body)["stateMachineArn"]

    def start(self, machine, **request):
        status, _, body = states._start_execution({"stateMachineArn": machine, "input": "{}"} | request)
        self.assertEqual(status, 200, body)
        return json.loads(body)["executionArn"]

    def ended(self, execution, within=10):
        limit = time.monotonic() + within
        while time.monotonic() < limit:
            found = json.loads(states._describe_execution({"executionArn": execution})[2])
            if found["status"] != "RUNNING":
                return found
            time.sleep(0.01)
        self.fail(f"{execution} still runs")

    def test_a_start_with_the_same_name_and_input_joins_the_running_execution(self):
        machine = self.create({"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 1, "End": True}}})
        first = self.start(machine, name="one")
        self.assertEqual(self.start(machine, name="one"), first)
        status, _, body = states._start_execution({"stateMachineArn": machine, "name": "one", "input": '{"other": 1}'})
        self.assertEqual((status, json.loads(body)["__type"].split("#")[-1]), (400, "ExecutionAlreadyExists"))

    def test_a_state_machines_own_time_out_ends_it(self):
        machine = self.create({"StartAt": "W", "TimeoutSeconds": 1,
                               "States": {"W": {"Type": "Wait", "Seconds": 30, "End": True}}})
        self.assertEqual(self.ended(self.start(machine))["status"], "TIMED_OUT")

    def waiting_for_a_token(self, **fields):
        return {"StartAt": "T", "QueryLanguage": "JSONata", "States": {"T": {
            "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken", "End": True,
            "Arguments": {"FunctionName": "f", "Payload": {"token": "{% $states.context.Task.Token %}"}}} | fields}}

    def test_a_token_times_out_by_jsonata(self):
        machine = self.create(self.waiting_for_a_token(TimeoutSeconds="{% 1 %}"))
        with mock.patch.object(state_machines, "_call_lambda", return_value={}):
            found = self.ended(self.start(machine))
        self.assertEqual((found["status"], found["error"]), ("FAILED", "States.Timeout"))

    def test_a_failing_function_ends_the_wait_for_its_token(self):
        machine = self.create(self.waiting_for_a_token(TimeoutSeconds=30))
        refused = states._ExecutionError("Refused", "no")
        with mock.patch.object(state_machines, "_call_lambda", side_effect=refused):
            found = self.ended(self.start(machine))
        self.assertEqual((found["status"], found["error"]), ("FAILED", "Refused"))

    def test_each_attempt_has_a_token_of_its_own(self):
        retry = [{"ErrorEquals": ["Refused"], "IntervalSeconds": 0, "MaxAttempts": 2}]
        machine = self.create(self.waiting_for_a_token(TimeoutSeconds=30, Retry=retry))
        tokens = []

        def fail(_, event):
            tokens.append(event["token"])
            raise states._ExecutionError("Refused", "no")

        with mock.patch.object(state_machines, "_call_lambda", side_effect=fail):
            self.ended(self.start(machine))
        self.assertEqual(len(set(tokens)), 3, tokens)

    def test_the_state_machines_role_is_asked(self):
        machine = self.create({"StartAt": "T", "States": {"T": {
            "Type": "Task", "Resource": "arn:aws:lambda:us-east-1:000000000000:function:f", "End": True}}})
        refused = mock.Mock(principal_arn=ROLE)
        config = {"FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:f"}
        with (mock.patch.object(state_machines, "refusal", return_value=refused) as asked,
              mock.patch.object(lambda_svc, "_get_func_record_for_ref", return_value=({}, config, "f"))):
            found = self.ended(self.start(machine))
        self.assertEqual((found["status"], found["error"]), ("FAILED", "Lambda.AWSLambdaException"))
        asked.assert_called_with(ROLE, "lambda:InvokeFunction", config["FunctionArn"])

    def test_a_throttle_has_its_name(self):
        error = states._ExecutionError("Lambda.Unknown", "TooManyRequestsException: Rate Exceeded")
        state_machines._name_throttle(error)
        self.assertEqual(error.error, "Lambda.TooManyRequestsException")
