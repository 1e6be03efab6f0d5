import json
import os
import tempfile
import unittest
from unittest import mock

from ministack.core.responses import request_scope
from ministack.services import eks
from ministack_plugin import clusters


class Describing(unittest.TestCase):
    def setUp(self):
        file = tempfile.NamedTemporaryFile("w", suffix=".json")
        self.addCleanup(file.close)
        json.dump({"known": {"endpoint": "https://127.0.0.1:1", "ca": "Q0E=", "webhookToken": "x" * 16}}, file)
        file.flush()
        patch = mock.patch.dict(os.environ, {"MSP_EKS_CLUSTERS": file.name})
        patch.start()
        self.addCleanup(patch.stop)

    def described(self, name):
        answer = (200, {}, json.dumps({"cluster": {"name": name, "endpoint": "emulated"}}).encode())
        with mock.patch.object(clusters, "_describe_cluster", return_value=answer):
            with request_scope("000000000000", "us-east-1"):
                return json.loads(clusters.describe_cluster(name)[2])["cluster"]

    def test_a_real_cluster_is_named_by_its_real_endpoint(self):
        found = self.described("known")
        self.assertEqual((found["endpoint"], found["certificateAuthority"]["data"]), ("https://127.0.0.1:1", "Q0E="))

    def test_others_are_left_as_they_are(self):
        self.assertEqual(self.described("other")["endpoint"], "emulated")

    def test_the_webhooks_secret_is_checked_against_the_file(self):
        record = {}
        with (mock.patch.object(eks, "_cluster_for_auth", return_value=("a", "b", record)),
              mock.patch.object(clusters, "_authenticate_token_review", return_value="reviewed") as review):
            clusters.authenticate_token_review("known", "000000000000", "us-east-1", {}, "given")
        self.assertEqual(record["_auth_token"], "x" * 16)
        self.assertEqual(review.call_args.args[-1], "given")
