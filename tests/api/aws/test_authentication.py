"""Who signed a request, and how nobody is refused in each protocol."""

from __future__ import annotations

from pathlib import Path

import pytest

from portway.api.aws.authentication import (
    Verifier,
    check_role,
    missing,
    unknown_key,
    unsigned,
)
from portway.api.aws.errors import AwsError
from portway.api.aws.face import Caller
from portway.api.aws.keys import KeyFolder
from portway.api.aws.wire.services import SERVICES, Protocol, Target
from portway.api.aws.wire.sigv4 import Expired, Incomplete, Mismatch, SentRequest
from portway.api.roles import Role

ACCOUNT = "000000000000"
REQUEST = SentRequest(method="POST", path="/", query="", headers=[])


def target(operation: str = "CreateService", protocol: Protocol = Protocol.JSON) -> Target:
    service = next(one for one in SERVICES if one.name == "ecs")
    return Target(service=service, operation=operation, protocol=protocol)


def verifier(directory: Path, *, verify: bool) -> Verifier:
    return Verifier(
        keys=KeyFolder(directory),
        region="us-east-1",
        account_id=ACCOUNT,
        verify=verify,
        now_ms=lambda: 0,
    )


@pytest.mark.parametrize(
    ("verify", "trusted", "is_root"),
    [(True, False, False), (True, True, True), (False, False, True), (False, True, True)],
)
def test_without_a_signature_only_the_socket_or_a_server_that_verifies_nothing_asks(
    tmp_path: Path, verify: bool, trusted: bool, is_root: bool
) -> None:
    asks = verifier(tmp_path, verify=verify)
    if is_root:
        caller = asks.caller(target(), REQUEST, None, trusted=trusted)
        assert (caller.role, caller.arn) == (Role.ADMIN, f"arn:aws:iam::{ACCOUNT}:root")
        return
    with pytest.raises(AwsError) as caught:
        asks.caller(target(), REQUEST, None, trusted=trusted)
    assert caught.value.code == "MissingAuthenticationTokenException"


def test_nobody_may_only_read(tmp_path: Path) -> None:
    assert not verifier(tmp_path, verify=True).nobody().role.covers(Role.DEPLOY)


@pytest.mark.parametrize(
    ("role", "operation", "allowed"),
    [
        (Role.READ, "DescribeServices", True),
        (Role.READ, "ListTasks", True),
        (Role.READ, "FilterLogEvents", True),
        (Role.READ, "CreateService", False),
        (Role.READ, "DeleteService", False),
        (Role.DEPLOY, "DeleteService", True),
    ],
)
def test_who_may_only_read_changes_nothing(role: Role, operation: str, allowed: bool) -> None:
    caller = Caller(name="ci", role=role, access_key_id="AKIA1", arn="arn:aws:iam::1:user/ci")
    if allowed:
        check_role(caller, target(operation))
        return
    with pytest.raises(AwsError) as caught:
        check_role(caller, target(operation))
    assert caught.value.code == "AccessDeniedException"
    assert f"ecs:{operation}" in str(caught.value)
    assert "AKIA1" in str(caught.value)


def refusal(error: AwsError) -> tuple[str, int | None]:
    return error.code, error.status


@pytest.mark.parametrize(
    ("protocol", "code", "status"),
    [
        (Protocol.JSON, "MissingAuthenticationTokenException", 400),
        (Protocol.CBOR, "MissingAuthenticationTokenException", 400),
        (Protocol.QUERY, "MissingAuthenticationToken", 403),
        (Protocol.EC2, "AuthFailure", 401),
    ],
)
def test_a_missing_signature_is_told_with_where_to_get_one(
    protocol: Protocol, code: str, status: int
) -> None:
    assert refusal(missing(protocol)) == (code, status)
    assert "portway aws credentials" in str(missing(protocol))


@pytest.mark.parametrize(
    ("protocol", "code", "status"),
    [
        (Protocol.JSON, "UnrecognizedClientException", 400),
        (Protocol.QUERY, "InvalidClientTokenId", 403),
        (Protocol.EC2, "AuthFailure", 401),
    ],
)
def test_a_key_of_nobody_is_told_so(protocol: Protocol, code: str, status: int) -> None:
    assert refusal(unknown_key(protocol)) == (code, status)


@pytest.mark.parametrize(
    ("error", "protocol", "code", "status"),
    [
        (Mismatch("no"), Protocol.JSON, "InvalidSignatureException", 400),
        (Mismatch("no"), Protocol.QUERY, "SignatureDoesNotMatch", 403),
        (Mismatch("no"), Protocol.EC2, "AuthFailure", 401),
        (Incomplete("no"), Protocol.JSON, "IncompleteSignatureException", 400),
        (Incomplete("no"), Protocol.QUERY, "IncompleteSignature", 400),
        (Incomplete("no"), Protocol.EC2, "AuthFailure", 401),
        (Expired("no"), Protocol.JSON, "InvalidSignatureException", 400),
        (Expired("no"), Protocol.QUERY, "RequestExpired", 400),
        (Expired("no"), Protocol.EC2, "RequestExpired", 400),
    ],
)
def test_a_signature_that_is_none_is_refused_in_the_words_of_the_protocol(
    error: Incomplete | Mismatch, protocol: Protocol, code: str, status: int
) -> None:
    assert refusal(unsigned(protocol, error)) == (code, status)
