"""The rules every listener's requests pass."""

from portway.balancers.haproxy.header_rules import DROP_ALIASES, LOOK, REFUSE_SMUGGLING


def test_only_the_look_costs_a_request_without_odd_headers_anything() -> None:
    unconditional = [rule for rule in (*REFUSE_SMUGGLING, *DROP_ALIASES) if " if { var" not in rule]
    assert unconditional == ["http-request del-header connection"]
    assert len(LOOK) == 1
