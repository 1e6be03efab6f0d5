"""ECR: a pushed image becomes the event `ECR Image Action`, whichever of its two doors it came through; layers can be fetched."""
import json
import os

from ministack.core.responses import error_response_json, json_response
from ministack.services import ecr

from .events import emit

_put_image = ecr._put_image
_v2_put_manifest = ecr._v2_put_manifest


def pushed(repository, digest, tag, media_type):
    """The event as ECR sends it: no `resources`, and an empty `image-tag` for an untagged push."""
    emit("aws.ecr", "ECR Image Action", {
        "result": "SUCCESS", "repository-name": repository, "image-digest": digest, "action-type": "PUSH",
        "image-tag": tag or "", "manifest-media-type": media_type, "artifact-media-type": media_type})


def put_image(data):
    response = _put_image(data)
    if response[0] == 200:
        image = json.loads(response[2])["image"]
        repository, digest = data["repositoryName"], image["imageId"]["imageDigest"]
        # What was put through the API must be readable by digest over /v2 as well.
        ecr._manifest_blobs.setdefault(repository, {})[digest] = image["imageManifest"].encode()
        pushed(repository, digest, data.get("imageTag"), image.get("imageManifestMediaType"))
    return response


def v2_put_manifest(name, reference, headers, body):
    response = _v2_put_manifest(name, reference, headers, body)
    if response[0] == 201:
        tag = None if reference.startswith("sha256:") else reference
        pushed(name, response[1]["Docker-Content-Digest"], tag, headers.get("content-type"))
    return response


def get_download_url_for_layer(data):
    """As AWS does, a URL that needs no credentials (there, of S3 and for an hour), and no URL for a layer that is not there."""
    repository, digest = data.get("repositoryName", ""), data.get("layerDigest", "")
    if repository not in ecr._repositories:
        return error_response_json("RepositoryNotFoundException", f"The repository with name '{repository}' does not exist", 400)
    if digest not in ecr._layer_blobs.get(repository, {}):
        return error_response_json(
            "LayersNotFoundException", f"The layer with digest '{digest}' does not exist in the repository '{repository}'", 400)
    # Nobody resolves the registry's name here. What functions are told to be AWS hands /v2 on to this process.
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "").rstrip("/")
    return json_response({"downloadUrl": f"{endpoint}/v2/{repository}/blobs/{digest}", "layerDigest": digest})


def install():
    ecr._get_download_url_for_layer = get_download_url_for_layer
    ecr._put_image, ecr._v2_put_manifest = put_image, v2_put_manifest
