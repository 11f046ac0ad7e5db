"""A rule that a load balancer lacks is a broken hop of its own."""

from __future__ import annotations

from portway.core.diagnosis import diagnose_app
from tests.core.test_diagnosis import facts

MISSING = (
    "sg-i of the instances does not admit tcp 32768 from sg-lb of the load balancer; "
    "authorise ingress of tcp 32768-65535 from it"
)


def test_the_missing_rule_is_named_with_what_to_authorise():
    found = diagnose_app(facts(barred=(MISSING,)))
    hop = next(hop for hop in found.hops if hop.name == "network")
    assert hop.text.startswith("sg-i of the instances does not admit tcp 32768 from sg-lb")
    assert hop.fix.startswith("authorise ingress of tcp 32768-65535 from it")


def test_a_network_that_lets_everything_through_is_not_mentioned():
    assert all(hop.name != "network" for hop in diagnose_app(facts()).hops)
