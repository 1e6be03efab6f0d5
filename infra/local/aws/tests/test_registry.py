import json
import os
from unittest import mock

from ministack.services import ecr

from .support import PluginTest

MANIFEST = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                       "config": {"mediaType": "x", "digest": "sha256:" + "0" * 64, "size": 2}, "layers": []})


class Pushing(PluginTest):
    def setUp(self):
        super().setUp()
        ecr._create_repository({"repositoryName": self.id().rsplit(".", 1)[-1].lower().replace("_", "-")})
        self.repository = list(ecr._repositories)[-1]

    def details(self):
        return [json.loads(event["Detail"]) for event in self.sent]

    def test_put_image_is_an_event_and_readable_by_digest(self):
        status, _, body = ecr._put_image({"repositoryName": self.repository, "imageManifest": MANIFEST, "imageTag": "v1"})
        self.assertEqual(status, 200, body)
        digest = json.loads(body)["image"]["imageId"]["imageDigest"]
        [detail] = self.details()
        self.assertEqual((detail["action-type"], detail["image-tag"], detail["image-digest"]), ("PUSH", "v1", digest))
        self.assertEqual(ecr._manifest_blobs[self.repository][digest], MANIFEST.encode())
        self.assertEqual(self.sent[0]["Source"], "aws.ecr")

    def test_a_layer_has_a_url_that_can_be_reached_and_a_missing_one_has_none(self):
        digest = "sha256:" + "1" * 64
        ecr._layer_blobs.setdefault(self.repository, {})[digest] = b"chart"
        with mock.patch.dict(os.environ, {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}):
            status, _, body = ecr._get_download_url_for_layer({"repositoryName": self.repository, "layerDigest": digest})
            self.assertEqual((status, json.loads(body)["downloadUrl"]),
                             (200, f"http://127.0.0.1:1/v2/{self.repository}/blobs/{digest}"))
            for repository, layer, error in ((self.repository, "sha256:" + "2" * 64, "LayersNotFoundException"),
                                             ("nowhere", digest, "RepositoryNotFoundException")):
                status, _, body = ecr._get_download_url_for_layer({"repositoryName": repository, "layerDigest": layer})
                self.assertEqual(status, 400)
                self.assertIn(error, str(body))
