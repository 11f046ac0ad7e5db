"""What IAM's objects have in common."""

from __future__ import annotations

import pytest

from portway.api.aws.errors import AwsError
from portway.api.aws.iam.common import check_policy, check_tags


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "[" * 100_000, "1"])
def test_what_is_no_policy_is_refused(text: str) -> None:
    with pytest.raises(AwsError) as caught:
        check_policy(text)
    assert caught.value.code == "MalformedPolicyDocument"


def test_an_object_has_at_most_fifty_tags() -> None:
    check_tags([{}] * 50)
    with pytest.raises(AwsError):
        check_tags([{}] * 51)
