"""Nobody leaves the AWS face open to a network."""

from __future__ import annotations

import pytest

from portway.api.aws.settings import check_aws_reach
from portway.core.errors import RequestError


@pytest.mark.parametrize("listen", ["0.0.0.0:80", ":80", "192.0.2.1:80", "[::]:80"])
def test_unverified_signatures_are_refused_where_others_can_connect(listen: str) -> None:
    check_aws_reach(verify_signatures=True, listen=listen)
    with pytest.raises(RequestError, match="without verifying AWS signatures"):
        check_aws_reach(verify_signatures=False, listen=listen)


@pytest.mark.parametrize("listen", ["", "127.0.0.1:80", "[::1]:80", "localhost:80"])
def test_on_this_machine_alone_they_need_not_be_verified(listen: str) -> None:
    check_aws_reach(verify_signatures=False, listen=listen)
