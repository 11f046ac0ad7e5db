"""Which service and operation a request means."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest

from portway.api.aws.wire.models import load_model
from portway.api.aws.wire.services import (
    SERVICES,
    Protocol,
    Service,
    find_target,
    is_aws_request,
)


def target(body: str = "", *, scope: str = "", host: str = "", path: str = "/", **headers: str):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    found = find_target(path, {"host": host, **named}, dict(parse_qsl(body)), scope=scope)
    return found.service.name if found.service else None, found.operation, found.protocol


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_the_table_is_what_the_models_say(service: Service) -> None:
    model = load_model(service.name, frozenset())
    assert model.signing_name == service.scope
    assert model.target_prefix == service.target_prefix
    if service.version:
        assert model.api_version == service.version


def test_the_target_header_names_service_and_operation() -> None:
    found = target(x_amz_target="AmazonEC2ContainerServiceV20141113.ListClusters", scope="ec2")
    assert found == ("ecs", "ListClusters", Protocol.JSON)


def test_the_version_separates_the_load_balancers_which_share_a_name() -> None:
    """Vector ecs-139."""
    scope = "elasticloadbalancing"
    body = "Action=DescribeLoadBalancers&Version="
    assert target(f"{body}2012-06-01", scope=scope)[0] == "elb"
    assert target(f"{body}2015-12-01", scope=scope)[0] == "elbv2"


def test_what_has_no_known_version_goes_by_its_signature_then_by_its_host() -> None:
    assert target("Action=X&Version=1999-01-01", scope="ec2") == ("ec2", "X", Protocol.EC2)
    assert target("Action=X", host="sts.amazonaws.com:443")[0] == "sts"
    assert target("Action=X", host="127.0.0.1:8080")[0] is None


def test_cbor_goes_by_its_path() -> None:
    path = "/service/Logs_20140328/operation/PutLogEvents"
    assert target(path=path, smithy_protocol="rpc-v2-cbor") == ("logs", "PutLogEvents", Protocol.CBOR)  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "query", "is_aws"),
    [
        ("POST", "/", b"", True),
        ("GET", "/", b"Action=ListRoles", True),
        ("GET", "/", b"", False),
        ("POST", "/service/A/operation/B", b"", True),
        ("GET", "/service/A/operation/B", b"", False),
        ("POST", "/v1/stacks", b"Action=X", False),
        ("POST", "//", b"", False),
        ("DELETE", "/", b"Action=X", False),
    ],
)
def test_only_requests_of_this_face_are_for_it(
    method: str, path: str, query: bytes, is_aws: bool
) -> None:
    assert is_aws_request(method, path, query) is is_aws
