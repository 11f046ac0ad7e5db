"""Pages of a listing: the token says after which key the next page begins, and for what it was made. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable, Sequence
from typing import TypeVar

from portway.api.aws.errors import AwsError

T = TypeVar("T")

_TOKEN_LENGTH_MAX = 4096
_CHECK_BYTES = 8


def page(
    items: Sequence[T],
    *,
    key: Callable[[T], str],
    size: int,
    token: str | None,
    scope: str = "",
    code: str = "InvalidParameterException",
    message: str = "Invalid token.",
) -> tuple[list[T], str | None]:
    """The next `size` items after the token, and the token of the page after, None at the end.

    Items are taken in the order of their keys, so what comes or goes between two pages moves nothing. `scope`:
    what the listing is of, filters included; a token of another listing is refused with `code`.
    """
    after = None if not token else _read(token, scope, code, message)
    ordered = sorted(items, key=key)
    left = ordered if after is None else [item for item in ordered if key(item) > after]
    taken = left[: max(1, size)]
    more = len(left) > len(taken)
    return taken, _write(key(taken[-1]), scope) if more else None


def token_key(
    token: str | None,
    *,
    scope: str,
    code: str = "InvalidParameterException",
    message: str = "Invalid token.",
) -> str:
    """The key after which the page of a token begins, for a listing that is not all in memory; "" without one."""
    return _read(token, scope, code, message) if token else ""


def token_of(key: str, *, scope: str) -> str:
    """The token of the page that follows a key."""
    return _write(key, scope)


def _write(key: str, scope: str) -> str:
    text = zlib.compress(key.encode(), 9)
    return base64.urlsafe_b64encode(_check(key, scope) + text).decode().rstrip("=")


def _read(token: str, scope: str, code: str, message: str) -> str:
    try:
        if len(token) > _TOKEN_LENGTH_MAX:
            raise ValueError
        data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        # Bounded: a few bytes may stand for gigabytes.
        text = zlib.decompressobj().decompress(data[_CHECK_BYTES:], _TOKEN_LENGTH_MAX)
        key = text.decode()
    except (ValueError, zlib.error, binascii.Error):
        raise AwsError(code, message) from None
    if data[:_CHECK_BYTES] != _check(key, scope):
        raise AwsError(code, message)
    return key


def _check(key: str, scope: str) -> bytes:
    """No secret: a token gives nothing that its listing would not. It only tells a wrong one."""
    return hashlib.sha256(f"{scope}\0{key}".encode()).digest()[:_CHECK_BYTES]
