"""A stand-in for AWS on loopback that keeps what `sam deploy` asks of CloudFormation, and then refuses it.

It knows as much of S3, STS and CloudFormation as `sam deploy` needs to come as far as CreateChangeSet. Nothing
leaves the machine.
"""

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl

from report import ROOT

ERROR = "<ErrorResponse><Error><Type>Sender</Type><Code>{}</Code><Message>{}</Message></Error><RequestId>1</RequestId></ErrorResponse>"
# The stack that `resolve_s3` keeps its bucket in; the names are SAM's own.
MANAGED = """<DescribeStacksResponse><DescribeStacksResult><Stacks><member>
<StackName>aws-sam-cli-managed-default</StackName><StackStatus>CREATE_COMPLETE</StackStatus>
<CreationTime>2026-01-01T00:00:00Z</CreationTime><Tags><member><Key>ManagedStackSource</Key><Value>AwsSamCli</Value></member></Tags>
<Outputs><member><OutputKey>SourceBucket</OutputKey><OutputValue>artifacts</OutputValue></member>
<member><OutputKey>Version</OutputKey><OutputValue>1</OutputValue></member></Outputs>
</member></Stacks></DescribeStacksResult></DescribeStacksResponse>"""


class Aws(BaseHTTPRequestHandler):
    # With 1.0, every upload would wait a second in vain for "100 Continue".
    protocol_version = "HTTP/1.1"

    def answer(self, status: int, body: str = "", **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body.encode())), "Content-Type": "text/xml"} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body.encode())

    def do_HEAD(self) -> None:
        self.answer(404)

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.answer(200, ETag='"1"')

    def do_GET(self) -> None:
        self.answer(404)

    def do_POST(self) -> None:
        asked = parse_qsl(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode(), keep_blank_values=True)
        action, stack = dict(asked).get("Action"), dict(asked).get("StackName", "")
        if action == "CreateChangeSet":
            for name, value in asked:
                self.server.told.setdefault(last_word(name), []).append(value)
        if action == "DescribeStacks" and stack.startswith("aws-sam-cli-managed"):
            self.answer(200, MANAGED)
        elif action == "DescribeStacks":
            self.answer(400, ERROR.format("ValidationError", f"Stack with id {stack} does not exist"))
        else:
            self.answer(400, ERROR.format("StandIn", f"{action} was noted and goes no further"))

    def log_message(self, *_) -> None:
        """Silent: what matters is what was kept."""


def last_word(name: str) -> str:
    """`Parameters.member.3.ParameterKey` -> `ParameterKey`, `Capabilities.member.1` -> `Capabilities`."""
    return [part for part in name.split(".") if part != "member" and not part.isdigit()][-1]


def told_by_deploy(config: Path, environment: str) -> dict[str, list[str]]:
    """The fields of the CreateChangeSet that `sam deploy --config-env <environment>` sends, each with its values in order."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Aws)
    server.told = {}
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SAM_"))} | {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
        "SAM_CLI_TELEMETRY": "0",
    }
    sam = [str(Path(sys.executable).parent / "sam"), "deploy", "--config-file", str(config), "--config-env", environment]
    try:
        ran = subprocess.run(
            [*sam, "--template-file", str(ROOT / "infra/template.yaml"), "--no-confirm-changeset"],
            env=environ, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
        )
    finally:
        server.shutdown()
        server.server_close()
    if not server.told:
        print(ran.stdout[-2000:], ran.stderr[-2000:], file=sys.stderr)
    return server.told
