"""What each type of policy takes."""

from __future__ import annotations

from portway.api.aws.elb.policy_types import (
    DEFAULT_SSL_POLICY,
    POLICY_TYPES,
    REFERENCE,
    SAMPLES,
    sample_policy,
)
from portway.core.balancing.classic import LB_COOKIE, PROXY_PROTOCOL, SSL_NEGOTIATION


def test_a_ready_policy_says_what_it_refers_to_and_is_of_known_attributes() -> None:
    for name in SAMPLES:
        policy = sample_policy(name)
        assert (policy.value(REFERENCE), policy.type_name) == (name, SSL_NEGOTIATION)
        known = {one.name for one in POLICY_TYPES[SSL_NEGOTIATION].attributes}
        assert {key for key, _ in policy.attributes} <= known
    assert DEFAULT_SSL_POLICY in SAMPLES


def test_a_value_is_of_the_attributes_kind() -> None:
    period = POLICY_TYPES[LB_COOKIE].attribute("CookieExpirationPeriod")
    proxy = POLICY_TYPES[PROXY_PROTOCOL].attribute("ProxyProtocol")
    assert period is not None
    assert proxy is not None
    assert (period.problem("60"), proxy.problem("True")) == ("", "")
    for bad in ("-1", "9" * 11, "²"):
        assert "a number of at most 10 digits" in period.problem(bad)
    assert "true or false" in proxy.problem("yes")
    assert (period.is_needed, proxy.is_needed) == (False, True)
    assert POLICY_TYPES[LB_COOKIE].attribute("other") is None
