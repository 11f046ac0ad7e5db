"""Requests -> checked values. Every refusal names the field in plain words; nothing unread gets to an operation."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import fields
from functools import cache
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import ClientDisconnect, Request

from portway.api.native.answers import FieldError
from portway.core.errors import Problem, RequestError
from portway.core.suggest import did_you_mean

T = TypeVar("T")

JSON = "application/json"
_QUERY_FIELDS_MAX = 1000
_DIGITS_MAX = 18
_WORDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}


class _WrongJson(ValueError):
    """JSON we refuse though a parser would take it."""


async def read_body(
    request: Request, wanted: type[T], *, size_max_bytes: int, timeout_s: float
) -> T:
    """The JSON body as a value of `wanted`; no body at all counts as {}."""
    has_body = request.headers.get("content-length", "0") != "0"
    if has_body or "transfer-encoding" in request.headers:
        _check_content_type(request, JSON)
    body = await _read_bytes(request, size_max_bytes=size_max_bytes, timeout_s=timeout_s)
    return parse_body(body, wanted)


def check_upload(request: Request, content_type: str) -> None:
    """RequestError 415 unless the body is what the endpoint takes."""
    _check_content_type(request, content_type)


def parse_body(body: bytes, wanted: type[T]) -> T:
    """JSON text as a value of `wanted`; FieldError with the path of what is wrong."""
    value = parse_json(body) if body.strip() else {}
    if isinstance(value, dict):
        _refuse_unknown(cast("dict[str, object]", value), wanted, what="The body", noun="field")
    return _converted(value, wanted, what="The body", strict=True)


def parse_json(body: bytes) -> object:
    """JSON text as plain values. Duplicate keys, NaN, NUL and half surrogates are refused."""
    try:
        value = json.loads(
            body.decode(),
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_int=_integer,
        )
    except _WrongJson as error:
        raise _not_json(str(error)) from None
    except UnicodeDecodeError as error:
        raise _not_json(f"byte {error.start} is not UTF-8") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise _not_json(f"{error.msg[:1].lower()}{error.msg[1:]} ({where})") from None
    except RecursionError:
        raise _not_json("it is nested too deeply") from None
    _refuse_odd_text(value)
    return value


def parse_query(query_string: bytes, wanted: type[T]) -> T:
    """The query string as a value of `wanted`; FieldError names the parameter."""
    try:
        pairs = parse_qsl(
            query_string.decode("ascii"), keep_blank_values=True, max_num_fields=_QUERY_FIELDS_MAX
        )
    except ValueError:
        raise RequestError("The query string has too many parameters, or is not ASCII.") from None
    lists = _list_fields(wanted)
    value: dict[str, object] = {name: [] for name in lists}
    for name, text in pairs:
        if name in lists:
            cast("list[str]", value[name]).append(text)
        elif name in value:
            raise _wrong("The query", name, "is given twice")
        else:
            value[name] = text
    _refuse_odd_text(value)
    _refuse_unknown(value, wanted, what="The query", noun="parameter")
    return _converted(value, wanted, what="The query", strict=False)


def check_path(parameters: Mapping[str, str]) -> None:
    """RequestError 404 for a path that can name nothing."""
    for name, text in parameters.items():
        if not text.isprintable() or len(text) > 1000:
            raise RequestError(f"No {name} can have such a name.", http_status=404)


async def uploaded(request: Request) -> AsyncIterator[bytes]:
    """The body as it comes."""
    try:
        async for chunk in request.stream():
            if chunk:
                yield chunk
    except ClientDisconnect:
        raise RequestError(
            "The upload was cut off before its end.", hint="Try again.", http_status=400
        ) from None


def _check_content_type(request: Request, wanted: str) -> None:
    given, _, parameters = request.headers.get("content-type", "").partition(";")
    if given.strip().lower() != wanted:
        was = f'"{given.strip()}"' if given.strip() else "none"
        raise RequestError(
            f"This takes a body of type {wanted}, but the Content-Type is {was}.",
            hint=f"Send the header Content-Type: {wanted}.",
            http_status=415,
        )
    charset = re.search(r"charset\s*=\s*\"?([\w-]+)", parameters, re.IGNORECASE)
    if charset and charset[1].lower() not in ("utf-8", "utf8", "us-ascii"):
        raise RequestError(
            f"The body is in {charset[1]}; only UTF-8 is understood.", http_status=415
        )


async def _read_bytes(request: Request, *, size_max_bytes: int, timeout_s: float) -> bytes:
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > size_max_bytes:
        raise _too_large(size_max_bytes)
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in uploaded(request):
                body += chunk
                if len(body) > size_max_bytes:
                    raise _too_large(size_max_bytes)
    except TimeoutError:
        raise RequestError(
            f"The body did not arrive within {timeout_s:g} seconds.",
            hint="Send it faster, or in one piece.",
            http_status=408,
        ) from None
    return bytes(body)


def _too_large(size_max_bytes: int) -> RequestError:
    return RequestError(
        f"The body is larger than the limit of {size_max_bytes} bytes.",
        hint="Send less, or raise body_size_max_bytes of the server.",
        http_status=413,
    )


def _not_json(why: str) -> RequestError:
    return RequestError(f"The body is not JSON that can be used: {why}.")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))
        raise _WrongJson(f"the key {_shown(twice)} is there twice in one object")
    return value


def _refuse_constant(text: str) -> object:
    raise _WrongJson(f"{text} is not a JSON value")


def _integer(text: str) -> int:
    if len(text) > _DIGITS_MAX:
        raise _WrongJson("a number has too many digits")
    return int(text)


def _refuse_odd_text(value: object) -> None:
    waiting: list[object] = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting.extend(cast("dict[str, object]", item).items())
        elif isinstance(item, list | tuple):
            waiting.extend(cast("list[object]", item))
        elif isinstance(item, str):
            _refuse_odd_string(item)


def _refuse_odd_string(text: str) -> None:
    if "\0" in text:
        raise RequestError("A text in the request holds a NUL character, which nothing can take.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RequestError(
            "A text in the request holds half of a surrogate pair, which is no character."
        ) from None


def _refuse_unknown(
    value: Mapping[str, object], wanted: type[Any], *, what: str, noun: str
) -> None:
    known = [field.name for field in fields(wanted)]
    for name in value:
        if name not in known:
            end = did_you_mean(name, known) or f" Known: {', '.join(known) or 'none'}."
            raise _wrong(what, _shown(name, quote=""), f"is no {noun} here", hint=end.strip())


def _converted(value: object, wanted: type[T], *, what: str, strict: bool) -> T:
    try:
        return msgspec.convert(value, wanted, strict=strict)
    except msgspec.ValidationError as error:
        sentence, path = _plain(str(error))
        if path.endswith("[...]"):
            path = _located(value, wanted, path)
        raise FieldError([Problem(message=sentence, path=path)], what=what) from None


def _plain(text: str) -> tuple[str, str]:
    """msgspec's sentence in plain words, and the path it names."""
    sentence, _, where = text.partition(" - at `$")
    path = where.rstrip("`").lstrip(".")
    missing = re.fullmatch(r"Object missing required field `(.+)`", sentence)
    if missing:
        return "is required", f"{path}.{missing[1]}".lstrip(".")
    words = re.sub(r"`([^`]*)`", lambda match: _words(match[1]), sentence)
    return f"{words[:1].lower()}{words[1:]}", path


def _words(kinds: str) -> str:
    return " or ".join(_WORDS.get(kind, kind) for kind in kinds.split(" | "))


def _located(value: object, wanted: type[Any], path: str) -> str:
    """msgspec names no key of a mapping: find the one that alone is refused too."""
    name = path.removesuffix("[...]")
    members = cast("dict[str, object]", value).get(name) if isinstance(value, dict) else None
    if not isinstance(members, dict):
        return name
    for key, member in cast("dict[str, object]", members).items():
        try:
            msgspec.convert({**cast("dict[str, object]", value), name: {key: member}}, wanted)
        except msgspec.ValidationError:
            return f"{name}.{_shown(key, quote='')}"
    return name


@cache
def _list_fields(wanted: type[Any]) -> frozenset[str]:
    hints = get_type_hints(wanted)
    return frozenset(
        name for name, hint in hints.items() if get_origin(hint) is tuple and get_args(hint)
    )


def _wrong(what: str, path: str, message: str, *, hint: str = "") -> FieldError:
    return FieldError([Problem(message=message, path=path, hint=hint)], what=what)


def _shown(text: str, *, quote: str = '"') -> str:
    """A caller's own text inside our sentence: short, on one line, and always encodable."""
    short = text if len(text) <= 60 else f"{text[:60]}..."
    printable = "".join(c if c.isprintable() else "?" for c in short)
    return f"{quote}{printable}{quote}"
