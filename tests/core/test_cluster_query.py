"""What the cluster query language says of a node, and what it refuses to understand."""

from __future__ import annotations

import pytest

from portway.core.cluster_query import (
    Mistake,
    NodeFacts,
    asks_attributes_only,
    holds,
    parse_query,
)

NODE = NodeFacts(
    attributes={
        "ecs.instance-type": "t2.small",
        "ecs.availability-zone": "us-east-1a",
        "stack": "prod",
    },
    groups=frozenset({"service:web", "family:job"}),
    running_tasks=4,
    registered_at_ms=1_700_000_000_000,
    agent_version="1.105.1",
    instance_id="i-1",
)


@pytest.mark.parametrize(
    ("text", "true"),
    [
        ("attribute:ecs.instance-type == t2.small", True),
        ("attribute:ecs.instance-type equals 't2.small'", True),
        ("attribute:ecs.instance-type != t2.small", False),
        ("attribute:nothing != t2.small", True),
        ("attribute:ecs.instance-type =~ t2.*", True),
        ('attribute:ecs.instance-type matches "m4.*"', False),
        ("attribute:ecs.instance-type !~ m4.*", True),
        ("attribute:ecs.availability-zone in [us-east-1a, us-east-1b]", True),
        ("attribute:ecs.availability-zone not_in [us-east-1a]", False),
        ("attribute:ecs.availability-zone !in [us-east-1c]", True),
        ("attribute:stack exists", True),
        ("attribute:stack !exists", False),
        ("attribute:other not_exists", True),
        ("runningTasksCount < 5", True),
        ("runningTasksCount greater_than_equal 10", False),
        ("registeredAt > 2023-01-01", True),
        ("registeredAt <= 2023-01-01T00:00:00Z", False),
        ("registeredAt > nonsense", False),
        ("agentConnected == true", True),
        ("agentVersion >= 1.99.0", True),
        ("ec2InstanceId in ['i-1','i-2']", True),
        ("task:group == service:web", True),
        ("not(task:group == service:web)", False),
        ("!(task:group == database)", True),
        ("attribute:stack == dev or runningTasksCount <= 4 and agentConnected == true", True),
        ("(attribute:stack == dev || attribute:stack == prod) && runningTasksCount > 4", False),
    ],
)
def test_a_query_is_true_or_false_of_a_node(text: str, true: bool) -> None:
    query = parse_query(text)
    assert not isinstance(query, Mistake), query
    assert holds(query, NODE) is true


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("attribute:x", "an operator"),
        ("attribute: == y", "nothing that can be asked"),
        ("colour == red", "nothing that can be asked"),
        ("attribute:x is y", "no operator"),
        ("attribute:x ==", "a value"),
        ("attribute:x in a", "begins with ["),
        ("attribute:x in [a b]", "ends with ]"),
        ("(attribute:x exists", "closing parenthesis"),
        ("attribute:x exists attribute:y exists", "Nothing can follow"),
        ("attribute:x == )", "A value is expected"),
        ("attribute:x =~ '(a+)+'", "too elaborate"),
        ("attribute:x =~ '[a'", "not valid"),
        ("attribute:x =~ 'a{9999999999}'", "not valid"),
        ("attribute:x == 'a", "Not understood"),
        ("!" * 30 + "attribute:x exists", "nested"),
        ("attribute:x == " + "y" * 3000, "longer"),
    ],
)
def test_what_is_no_query_is_said_in_a_sentence(text: str, says: str) -> None:
    answer = parse_query(text)
    assert isinstance(answer, Mistake), answer
    assert says in answer.reason


def test_a_query_about_attributes_alone_is_told_from_others() -> None:
    one, other = parse_query("not attribute:x == y"), parse_query("runningTasksCount < 5")
    assert not isinstance(one, Mistake)
    assert not isinstance(other, Mistake)
    assert asks_attributes_only(one)
    assert not asks_attributes_only(other)
