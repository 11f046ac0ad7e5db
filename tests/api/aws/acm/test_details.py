"""What ACM tells of a certificate."""

from __future__ import annotations

import re

from portway.api.aws.acm.details import details_of
from tests.api.aws.pems import pair


def test_a_serial_is_pairs_of_digits_and_times_are_milliseconds() -> None:
    details = details_of(pair()[0])
    assert re.fullmatch(r"[0-9a-f]{2}(:[0-9a-f]{2})+", details["Serial"])
    assert details["NotAfter"] - details["NotBefore"] > 800 * 86_400_000
    assert details["Subject"] == details["Issuer"] == "CN=example.com"
