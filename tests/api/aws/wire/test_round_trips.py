"""Whatever botocore writes is read as it was meant, and whatever is written botocore reads so, for each protocol."""

from __future__ import annotations

from functools import cache
from typing import Any
from urllib.parse import urlencode

import cbor2
import msgspec
import pytest
from botocore.model import ServiceModel as BotocoreModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portway.api.aws.errors import AwsError
from portway.api.aws.wire.answers import error_answer, result_answer
from portway.api.aws.wire.forms import read_form, read_pairs
from portway.api.aws.wire.inputs import read_tree
from portway.api.aws.wire.models import _botocore_model, load_model
from portway.api.aws.wire.services import Protocol, Target

from .values import values_of, with_datetimes

# Each with the shapes that are odd somewhere: flattened lists, maps, blobs, times, names of EC2's own.
OPERATIONS = {
    "ecs": ("RegisterTaskDefinition", "CreateService", "DescribeServices", "RunTask", "DescribeTasks"),
    "elbv2": ("CreateListener", "CreateRule", "DescribeRules", "DescribeTargetHealth", "DescribeTags"),
    "elb": ("CreateLoadBalancer", "DescribeLoadBalancers", "ConfigureHealthCheck"),
    "ec2": ("AuthorizeSecurityGroupIngress", "DescribeInstances", "RunInstances", "DescribeVpcs"),
    "iam": ("CreateRole", "ListRoles", "UploadServerCertificate", "GetAccountSummary"),
    "sts": ("AssumeRole",),
    "acm": ("ImportCertificate", "DescribeCertificate", "ListCertificates"),
    "logs": ("PutLogEvents", "FilterLogEvents", "CreateLogGroup"),
    "application-autoscaling": ("PutScalingPolicy", "DescribeScalableTargets"),
    "cloudwatch": ("PutMetricData", "GetMetricData", "DescribeAlarms"),
}  # fmt: skip
PROTOCOLS = {
    "elbv2": (Protocol.QUERY,),
    "elb": (Protocol.QUERY,),
    "iam": (Protocol.QUERY,),
    "sts": (Protocol.QUERY,),
    "ec2": (Protocol.EC2,),
    "cloudwatch": (Protocol.JSON, Protocol.CBOR, Protocol.QUERY),
}
CASES = [
    pytest.param(service, name, protocol, id=f"{service}-{name}-{protocol}")
    for service, names in OPERATIONS.items()
    for name in names
    for protocol in PROTOCOLS.get(service, (Protocol.JSON,))
]
BOTOCORE_NAMES = {Protocol.CBOR: "smithy-rpc-v2-cbor"}

enough = settings(max_examples=12, suppress_health_check=list(HealthCheck), deadline=None)


@cache
def botocore_model(service: str) -> BotocoreModel:
    return _botocore_model(service)


def model_of(service: str) -> Any:
    return load_model(service, frozenset(OPERATIONS[service]))


def read(protocol: Protocol, shape: Any, request: dict[str, Any]) -> Any:
    body = request["body"]
    if protocol in (Protocol.QUERY, Protocol.EC2):
        pairs = read_pairs(urlencode(body).encode())
        return read_form(shape, pairs, is_ec2=protocol is Protocol.EC2)
    tree = cbor2.loads(body) if protocol is Protocol.CBOR else msgspec.json.decode(body)
    return read_tree(shape, tree)


@pytest.mark.parametrize(("service", "name", "protocol"), CASES)
@enough
@given(data=st.data())
def test_a_request_is_read_as_botocore_meant_it(
    service: str, name: str, protocol: Protocol, data: st.DataObject
) -> None:
    shape = model_of(service).operations[name].input
    value = data.draw(values_of(shape)) or {} if shape else {}
    serializer = create_serializer(BOTOCORE_NAMES.get(protocol, protocol), include_validation=False)
    operation = botocore_model(service).operation_model(name)
    given_value = with_datetimes(shape, value) if shape else {}
    request = serializer.serialize_to_request(given_value, operation)
    parsed = read(protocol, shape, request)
    assert parsed.values == value
    assert parsed.unknown == ()


@pytest.mark.parametrize(("service", "name", "protocol"), CASES)
@enough
@given(data=st.data())
def test_an_answer_is_read_by_botocore_as_it_was_meant(
    service: str, name: str, protocol: Protocol, data: st.DataObject
) -> None:
    model = model_of(service)
    operation = model.operations[name]
    value = data.draw(values_of(operation.output)) or {} if operation.output else {}
    target = Target(service=None, operation=name, protocol=protocol)
    answer = result_answer(target, model, operation, value, request_id="id-1")
    parser = create_parser(BOTOCORE_NAMES.get(protocol, protocol))
    given_answer = {"status_code": answer.status, "headers": answer.headers, "body": answer.body}
    shape = botocore_model(service).operation_model(name).output_shape
    parsed = parser.parse(given_answer, shape)
    metadata = parsed.pop("ResponseMetadata")
    assert metadata.get("RequestId", "id-1") == "id-1"  # of CBOR without a body it reads no headers
    assert {n: v for n, v in parsed.items() if v not in ([], {})} == (
        with_datetimes(operation.output, value) if operation.output else {}
    )


@pytest.mark.parametrize(
    ("service", "protocol", "code", "told", "status"),
    [
        ("ecs", Protocol.JSON, "ClusterNotFoundException", "ClusterNotFoundException", 400),
        ("elbv2", Protocol.QUERY, "TargetGroupNotFoundException", "TargetGroupNotFound", 400),
        ("elbv2", Protocol.QUERY, "TargetGroupNotFound", "TargetGroupNotFound", 400),
        ("elb", Protocol.QUERY, "InvalidConfigurationRequest", "InvalidConfigurationRequest", 409),
        ("iam", Protocol.QUERY, "NoSuchEntity", "NoSuchEntity", 404),
        ("ec2", Protocol.EC2, "InvalidGroup.NotFound", "InvalidGroup.NotFound", 400),
        ("cloudwatch", Protocol.CBOR, "ResourceNotFoundException", "ResourceNotFoundException", 404),
    ],
)  # fmt: skip
def test_an_error_has_the_code_and_the_status_of_its_model(
    service: str, protocol: Protocol, code: str, told: str, status: int
) -> None:
    target = Target(service=None, operation="X", protocol=protocol)
    answer = error_answer(target, model_of(service), AwsError(code, "é <&> \0"), request_id="id-1")
    parser = create_parser(BOTOCORE_NAMES.get(protocol, protocol))
    headers = {name: value for name, value in answer.headers.items() if "query-error" not in name}
    given_answer = {"status_code": answer.status, "headers": headers, "body": answer.body}
    parsed = parser.parse(given_answer, None)
    assert parsed["Error"]["Code"] == told
    assert parsed["Error"]["Message"].startswith("é <&>")
    assert parsed["ResponseMetadata"]["RequestId"] == "id-1"
    assert answer.status == status
