"""Which service a request means and how it speaks, from its headers and parameters alone. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from portway.api.aws.errors import AwsError


class Protocol(StrEnum):
    """How a request is written, and so its answer."""

    JSON = "json"
    QUERY = "query"
    EC2 = "ec2"
    CBOR = "rpc-v2-cbor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One of AWS's services as requests name it. `name` is botocore's, `scope` the name it is signed for."""

    name: str
    scope: str
    target_prefix: str = ""
    version: str = ""
    host_prefix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a request asks for. `service` None: one that portway does not speak; `protocol` is then a guess."""

    service: Service | None
    operation: str
    protocol: Protocol
    version: str = ""
    json_version: str = "1.1"
    asked: str = ""  # how the request named the service, for the refusal


def _service(
    name: str, *, scope: str = "", target: str = "", version: str = "", host: str = ""
) -> Service:
    return Service(
        name=name,
        scope=scope or name,
        target_prefix=target,
        version=version,
        host_prefix=host or scope or name,
    )


SERVICES = (
    _service("ecs", target="AmazonEC2ContainerServiceV20141113"),
    _service("elbv2", scope="elasticloadbalancing", version="2015-12-01"),
    _service("elb", scope="elasticloadbalancing", version="2012-06-01"),
    _service("ec2", version="2016-11-15"),
    _service("iam", version="2010-05-08"),
    _service("sts", version="2011-06-15"),
    _service("cloudformation", version="2010-05-15"),
    _service("autoscaling", version="2011-01-01"),
    _service("acm", target="CertificateManager"),
    _service("logs", target="Logs_20140328"),
    _service("application-autoscaling", target="AnyScaleFrontendService"),
    _service("resourcegroupstaggingapi", scope="tagging", target="ResourceGroupsTaggingAPI_20170126"),
    _service("servicediscovery", target="Route53AutoNaming_v20170314"),
    _service("cloudwatch", scope="monitoring", target="GraniteServiceVersion20100801", version="2010-08-01"),
)  # fmt: skip

_BY_TARGET = {service.target_prefix: service for service in SERVICES if service.target_prefix}
_BY_VERSION = {service.version: service for service in SERVICES if service.version}
_BY_SCOPE = {service.scope: service for service in reversed(SERVICES)}
_BY_HOST = {service.host_prefix: service for service in reversed(SERVICES)}
_CBOR_PATH = re.compile(r"/service/([A-Za-z0-9_.]{1,128})/operation/([A-Za-z0-9_]{1,128})")
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,128}")


def is_aws_request(method: str, path: str, query_string: bytes) -> bool:
    """Whether a request is for this face and for nothing else of the server."""
    if path == "/":
        return method == "POST" or (method == "GET" and b"Action=" in query_string)
    return method == "POST" and _CBOR_PATH.fullmatch(path) is not None


def protocol_of(path: str, headers: Mapping[str, str]) -> Protocol:
    """The protocol, before anything else of the request is known."""
    if path != "/" or headers.get("smithy-protocol") == Protocol.CBOR:
        return Protocol.CBOR
    if "x-amz-target" in headers or "json" in headers.get("content-type", ""):
        return Protocol.JSON
    return Protocol.QUERY


def find_target(
    path: str, headers: Mapping[str, str], parameters: Mapping[str, str], *, scope: str
) -> Target:
    """What is asked: by X-Amz-Target, else Action and Version, else what it is signed for, else its host."""
    protocol = protocol_of(path, headers)
    if protocol is Protocol.CBOR:
        return _cbor_target(path, headers)
    if protocol is Protocol.JSON:
        return _json_target(headers, scope)
    operation, version = parameters.get("Action", ""), parameters.get("Version", "")
    service = _BY_VERSION.get(version) or _BY_SCOPE.get(scope) or _by_host(headers)
    if service is not None and service.name == "ec2":
        protocol = Protocol.EC2
    asked = _shown(scope) or f"version {_shown(version)}"
    return Target(service=service, operation=operation, protocol=protocol, version=version, asked=asked)  # fmt: skip


def _cbor_target(path: str, headers: Mapping[str, str]) -> Target:
    found = _CBOR_PATH.fullmatch(path)
    if headers.get("smithy-protocol") != Protocol.CBOR or found is None:
        raise AwsError(
            "UnknownOperationException",
            "A request to /service/... speaks rpc-v2-cbor, with the header smithy-protocol: rpc-v2-cbor.",
            404,
        )
    return Target(
        service=_BY_TARGET.get(found[1]),
        operation=found[2],
        protocol=Protocol.CBOR,
        asked=_shown(found[1]),
    )


def _json_target(headers: Mapping[str, str], scope: str) -> Target:
    prefix, _, operation = headers.get("x-amz-target", "").rpartition(".")
    service = _BY_TARGET.get(prefix.rpartition("#")[2])
    if service is None and not prefix:
        service = _BY_SCOPE.get(scope) or _by_host(headers)
    is_old = "x-amz-json-1.0" in headers.get("content-type", "")
    return Target(
        service=service,
        operation=operation,
        protocol=Protocol.JSON,
        json_version="1.0" if is_old else "1.1",
        asked=_shown(prefix or scope),
    )


def _by_host(headers: Mapping[str, str]) -> Service | None:
    return _BY_HOST.get(headers.get("host", "").partition(".")[0].lower())


def _shown(text: str) -> str:
    return text if _WORD.fullmatch(text) else ""
