"""What operations on classic load balancers have in common."""

from __future__ import annotations

import pytest

from portway.api.aws.elb.common import check_zones, given_tags, ordered
from portway.api.aws.errors import AwsError


def test_zones_are_in_order_each_once() -> None:
    assert ordered([("b", "2"), ("a", "1"), ("b", "2")]) == (("a", "1"), ("b", "2"))
    check_zones([("a", "1"), ("b", "2")])
    with pytest.raises(AwsError, match="same AZ"):
        check_zones([("a", "1"), ("a", "2")])


def test_tags_come_on_top_of_those_there_were() -> None:
    assert given_tags([{"Key": "a", "Value": "2"}], {"a": "1", "b": "1"}) == {"a": "2", "b": "1"}
    with pytest.raises(AwsError, match="quota"):
        given_tags([{"Key": "z"}], {str(n): "" for n in range(50)})
