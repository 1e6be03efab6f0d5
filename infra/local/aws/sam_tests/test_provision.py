import json
import unittest

import provision


class Provisioning(unittest.TestCase):
    def test_a_function_url_is_reached_by_path(self):
        self.assertEqual(provision.local_url("http://127.0.0.1:1", "https://abc.lambda-url.us-east-1.on.aws/"),
                         "http://127.0.0.1:1/_aws/lambda-url/abc/")

    def test_helm_has_a_group_of_its_own(self):
        self.assertEqual({output for output, group in provision.GROUPS.items() if group == "sluice:helm"}, {"HelmRoleArn"})

    def test_a_policy_is_what_it_allows(self):
        made = json.loads(provision.policy(provision.allow(["a:b"], "arn")))
        self.assertEqual(made["Statement"], [{"Effect": "Allow", "Action": ["a:b"], "Resource": "arn"}])
