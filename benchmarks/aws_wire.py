"""What a request in AWS's language costs beside what it asks for: routed, verified, read, validated, written.

    python benchmarks/aws_wire.py [--requests 2000]

Requests as botocore signs them go through the endpoint in this process, without a socket. The operations behind
them look at a store in memory, so nearly all of it is the wire. Processor time, the best of three turns.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from measure import Figure, arguments, report

from portway.api.aws.endpoint import AwsEndpoint
from portway.api.aws.keys import AccessKey, KeyFolder
from portway.api.aws.operation import load_service
from portway.api.aws.settings import AwsSettings
from portway.controller.clock import SystemClock
from portway.store.documents import MemoryDocuments

AIM_MS = 2.0
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "CertificateManager.ListCertificates"}  # fmt: skip
ROLE = "Action=CreateRole&Version=2010-05-08&AssumeRolePolicyDocument=%7B%22Statement%22%3A%5B%5D%7D&RoleName="

CASES = {
    "query, GetCallerIdentity": ("sts", FORM, "Action=GetCallerIdentity&Version=2011-06-15"),
    "query, ListRoles of 100": ("iam", FORM, "Action=ListRoles&Version=2010-05-08"),
    "JSON, ListCertificates": ("acm", JSON, json.dumps({"MaxItems": 10})),
}


def signed(key: AccessKey, service: str, headers: dict[str, str], body: str) -> dict[str, Any]:
    """The ASGI scope of a request that botocore signed."""
    request = AWSRequest(method="POST", url="http://127.0.0.1:8080/", data=body, headers=dict(headers))  # fmt: skip
    SigV4Auth(Credentials(key.access_key_id, key.secret), service, "us-east-1").add_auth(request)
    raw = [(name.lower().encode(), value.encode()) for name, value in request.headers.items()]
    raw.append((b"host", b"127.0.0.1:8080"))
    return {
        "type": "http",
        "method": "POST",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "headers": raw,
    }


async def ask(endpoint: AwsEndpoint, scope: dict[str, Any], body: bytes) -> None:
    """One request, which must succeed."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        assert message.get("status", 200) == 200, message

    await endpoint(scope, receive, send)


async def ms_per_request(endpoint: AwsEndpoint, key: AccessKey, name: str, count: int) -> float:
    """Milliseconds of processor time for each of `count` requests."""
    service, headers, body = CASES[name]
    scope = signed(key, service, headers, body)
    began_s = time.process_time()
    for _ in range(count):
        await ask(endpoint, scope, body.encode())
    return (time.process_time() - began_s) * 1000 / count


async def measure(folder: Path, count: int) -> list[Figure]:
    """All figures."""
    import logging

    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    clock = SystemClock()
    began_s = time.process_time()
    for service in ("ecs", "ec2", "elbv2"):
        load_service(service)
    models_ms = (time.process_time() - began_s) * 1000
    key = KeyFolder(folder).default(now_ms=clock.now_ms())
    operations: Any = object()  # none of these operations asks it
    settings = AwsSettings(documents=MemoryDocuments(), keys=folder, now_ms=clock.now_ms)
    endpoint = AwsEndpoint(operations, settings)
    for number in range(100):
        body = f"{ROLE}role{number}"
        await ask(endpoint, signed(key, "iam", FORM, body), body.encode())
    figures = [
        Figure(
            name="ms once, the models of ecs, ec2 and elbv2",
            ours=f"{models_ms:,.0f}",
            value=models_ms,
        )  # fmt: skip
    ]
    for name in CASES:
        value = min([await ms_per_request(endpoint, key, name, count) for _ in range(3)])
        aim = None if "100" in name else AIM_MS
        figures.append(Figure(name=f"ms/request, {name}", ours=f"{value:.2f}", value=value, aim=aim))  # fmt: skip
    return figures


def main() -> int:
    """Print the table; 1 when the aim is missed."""
    options = arguments(__doc__, requests=2000)
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(measure(Path(folder) / "keys", options.requests))
    return report(figures, options)


if __name__ == "__main__":
    sys.exit(main())
