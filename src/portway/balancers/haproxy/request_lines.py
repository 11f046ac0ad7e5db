"""HAProxy's log lines: the format they are written in, and what they say. Pure.

What a client chooses (the path) comes last and percent-encoded, so that no client can forge a line or a field.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from portway.core.request import ServedRequest

LINE_MAX_BYTES = 2048  # far below PIPE_BUF: a line is written whole or not at all
LOG_MAP = "maps/requests.map"  # the listeners whose requests are reported
IS_REPORTED = "{ var(txn.reported) -m found }"

_MARK = "pw1"
_FIELDS = 17
LOG_FORMAT = (
    f"{_MARK} %f %b %s %ST %ts %Tw %Tc %Tt %U %B %rc %ci %[date(0,us)] %[var(txn.answered)]"
    " %[var(txn.request_id)] %[var(txn.line)]"
)
FRONTEND_RULES = (
    f"tcp-request content set-var(txn.reported) fe_name,map_str({LOG_MAP})",
    "tcp-request content set-log-level silent unless " + IS_REPORTED,
)
# No query string: it may hold secrets.
BACKEND_RULES = (
    f'http-request set-var-fmt(txn.line) "%[date(0,us)] %[method] %[path,url_enc]" if {IS_REPORTED}',
    f"http-response set-var(txn.answered) date(0,us) if {IS_REPORTED}",
)

_NO_SERVER = "<NOSRV>"
_SWITCHED = 101
# First letter: who ended it; second: at which point. A lower-case first letter is a timeout.
_FAILURES = {
    "SC": "the instance could not be connected to (refused or reset)",
    "sC": "connecting to the instance timed out",
    "sQ": "it waited in vain for a free instance",
    "SQ": "it waited in vain for a free instance",
    "SH": "the instance closed the connection before it answered",
    "sH": "the instance did not answer in time",
    "SD": "the instance broke its answer off",
    "sD": "the instance stopped in the middle of its answer",
    "PH": "the instance's answer was not valid HTTP",
}
_CUT = "it was cut off: the drain timeout was over, or its instance was taken out"
_NOBODY = "no instance was ready"


def parse_request(
    line: bytes, owner_of: Callable[[str], str], instance_of: Callable[[str], str]
) -> ServedRequest | None:
    """One line as a request; None when it is none of ours, or of a listener nobody owns."""
    words = line.decode("ascii", "replace").split(" ", _FIELDS + 1)
    if len(words) < _FIELDS or words[0] != _MARK:
        return None
    owner = owner_of(words[1])
    if not owner:
        return None
    try:
        return _request(words, owner, instance_of)
    except ValueError:
        return None


def _request(
    words: list[str], owner: str, instance_of: Callable[[str], str]
) -> ServedRequest | None:
    server, status, ending = words[3], max(0, int(words[4])), words[5][:2]
    ended_us = int(words[13])
    is_http = len(words) == _FIELDS + 2 and words[16].isdigit()
    begun_us = int(words[16]) if is_http else 0
    is_reached = server != _NO_SERVER
    return ServedRequest(
        owner=owner,
        at_ms=ended_us // 1000,
        instance_id=instance_of(server) if is_reached else "",
        is_http=is_http,
        client=words[12],
        request_id=_given(words[15]),
        method=words[17] if is_http else "",
        path=_path(words[18]) if is_http and len(words) > 18 else "",
        status=status,
        bytes_in=int(words[9]),
        bytes_out=int(words[10]),
        queue_ms=_time(words[6]),
        connect_ms=_time(words[7]),
        response_ms=(int(words[14]) - begun_us) / 1000 if is_http and words[14].isdigit() else None,
        total_ms=(ended_us - begun_us) / 1000 if is_http else max(0, int(words[8])),
        retries=int(words[11].lstrip("+")),
        ending=ending,
        failure=failure_of(status, ending, is_reached=is_reached, is_http=is_http),
        aborted=ending[:1] in "Cc" and status != _SWITCHED,
    )


def failure_of(status: int, ending: str, *, is_reached: bool, is_http: bool) -> str:
    """Why a request failed, as a phrase; "" when it did not fail, or failed by its own client's doing."""
    who = ending[:1]
    if who in "KDU":
        return _CUT
    if status == _SWITCHED or who in "Cc":
        return ""
    if ending == "SC" and not is_reached:
        return _NOBODY
    if not is_http and ending in ("SD", "sD"):
        return "the instance reset the connection" if ending == "SD" else ""
    if ending in _FAILURES:
        return _FAILURES[ending]
    if who in "IR":
        return "the balancer had no room for it or failed itself"
    return f"the app answered {status}" if status >= 500 else ""


def _given(word: str) -> str:
    return "" if word == "-" else word


def _time(word: str) -> int | None:
    number = int(word)
    return number if number >= 0 else None


def _path(word: str) -> str:
    return unquote_to_bytes(word).decode("utf-8", "replace")
