import json
import os
import tempfile
import unittest
from unittest import mock

from ministack.services import lambda_svc
from ministack_plugin import functions


class InFlight(unittest.TestCase):
    def test_an_invocation_names_its_process_while_it_runs_and_not_after(self):
        seen = []
        with tempfile.TemporaryDirectory() as folder:
            worker = mock.Mock(func_name="sluice-sweep", _proc=mock.Mock(pid=42))

            def during(_worker, _event, request_id, **_):
                with open(os.path.join(folder, request_id + ".json")) as file:
                    seen.append(json.load(file))
                raise RuntimeError("the function failed")

            with (mock.patch.dict(os.environ, {"MSP_INVOCATIONS": folder}),
                  mock.patch.object(functions, "_invoke", during),
                  mock.patch.object(functions.lambda_runtime, "ensure_spawned"),
                  self.assertRaises(RuntimeError)):
                functions.invoke(worker, {"a": 1}, "r1")
            self.assertEqual(os.listdir(folder), [])
        self.assertEqual(seen, [{"pid": 42, "function": "sluice-sweep", "event": {"a": 1}}])


class Asynchronous(unittest.TestCase):
    def test_an_event_is_retried_as_lambda_does(self):
        with (mock.patch.object(lambda_svc, "_get_func_record_for_ref", return_value=({"f": 1}, {"c": 1}, "f")),
              mock.patch.object(lambda_svc, "_execution_record_for_config", return_value="record"),
              mock.patch.object(lambda_svc, "invoke_async_with_retry") as invoke):
            functions.dispatch_to_lambda("arn", '{"detail": 1}')
        invoke.assert_called_once_with("record", {"detail": 1})


class Url(unittest.TestCase):
    def event(self, **options):
        made = {"requestContext": {}}
        caller = {"accountId": "1", "userArn": "arn:aws:sts::1:assumed-role/sso-ana/ana", "userId": "AROA:ana"}
        with (mock.patch.object(functions, "_build_function_url_event", return_value=made),
              mock.patch.object(functions.iam_evaluator, "resolve_caller_identity", return_value=caller)):
            return functions.function_url_event("u", "1", "us-east-1", "POST", "/", {}, b"", {}, **options)

    def test_a_signed_call_says_who_called(self):
        iam = self.event()["requestContext"]["authorizer"]["iam"]
        self.assertEqual(iam["userArn"], "arn:aws:sts::1:assumed-role/sso-ana/ana")

    def test_an_anonymous_call_says_nobody(self):
        self.assertNotIn("authorizer", self.event(anonymous=True)["requestContext"])
