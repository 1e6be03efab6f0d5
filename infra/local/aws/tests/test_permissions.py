import json
import os
import tempfile
import time
import unittest
from unittest import mock

from ministack.services import sts

from ministack_plugin import permissions


class Recording(unittest.TestCase):
    def record(self, arn, refused):
        with (tempfile.NamedTemporaryFile("r", suffix=".jsonl") as file,
              mock.patch.dict(os.environ, {"MSP_PERMISSIONS_LOG": file.name}),
              mock.patch.object(permissions, "_enforce", return_value=refused),
              mock.patch.object(permissions.iam_evaluator, "resolve_caller_identity", return_value={"userArn": arn})):
            answer = permissions.enforce("KEY", "eks:DescribeCluster", "eks", "us-east-1", "arn:cluster")
            self.assertIs(answer, refused)
            return [json.loads(line) for line in file]

    def test_what_a_role_was_allowed_and_refused_is_recorded(self):
        for refused, allowed in [(None, True), (object(), False)]:
            [line] = self.record("arn:aws:sts::1:assumed-role/sweep/f", refused)
            self.assertEqual((line["action"], line["resource"], line["allowed"]),
                             ("eks:DescribeCluster", "arn:cluster", allowed))

    def test_root_is_not(self):
        self.assertEqual(self.record("arn:aws:iam::1:root", None), [])


class Sessions(unittest.TestCase):
    def setUp(self):
        permissions.install()
        self.enterContext(mock.patch.dict(sts._sessions, clear=True))

    def test_one_that_comes_while_old_ones_go_disturbs_nobody(self):
        class Expiring(dict):
            def get(self, key, default=None):
                sts._sessions.setdefault("of another thread", {})
                return super().get(key, default)

        sts._sessions["old"] = Expiring(Expiration=time.time() - 1)
        sts._sessions["young"] = Expiring(Expiration=time.time() + 60)
        sts.register_session("new", {})
        self.assertEqual(set(sts._sessions), {"young", "of another thread", "new"})
