"""AwsSettings: what the AWS face is told by the configuration, and the check that nobody leaves it open to a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from portway.api.settings import parse_listen
from portway.core.errors import RequestError
from portway.store.base import Documents


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsSettings:
    """`keys`: the folder of access keys. `verify_signatures` False: whoever can connect may do everything."""

    documents: Documents
    keys: Path
    now_ms: Callable[[], int]
    region: str = "us-east-1"
    account_id: str = "000000000000"
    home_id: str = ""  # what ids are made of, so that two portways have different ones
    verify_signatures: bool = True
    body_size_max_bytes: int = 16 * 1024 * 1024
    body_timeout_s: float = 30.0


def check_aws_reach(*, verify_signatures: bool, listen: str) -> None:
    """RequestError when unsigned requests could come from other machines."""
    if verify_signatures or not listen or parse_listen(listen).is_loopback:
        return
    raise RequestError(
        f"portway does not listen on {listen} without verifying AWS signatures: "
        "whoever can reach it could run anything here.",
        hint="Leave aws-verify-signatures on, or listen on 127.0.0.1.",
    )
