import json

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
