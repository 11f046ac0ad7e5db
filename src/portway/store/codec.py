"""Core values <-> JSON documents, as the store keeps them. Does no I/O and knows no table.

A document outlives the program that wrote it: fields it has and we do not know are ignored, fields
it lacks get their default. So a field may be added with a default, never renamed or retyped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

import msgspec

from portway.core.errors import StoreError

T = TypeVar("T")


def _plain(value: object) -> object:
    """A field typed Mapping may hold any kind of mapping; msgspec itself writes dict alone."""
    if isinstance(value, Mapping):
        return dict(cast(Mapping[object, object], value))
    raise NotImplementedError


_encoder = msgspec.json.Encoder(enc_hook=_plain)
_decoders: dict[type, msgspec.json.Decoder[object]] = {}


def encode(value: object) -> str:
    """The value as one line of JSON; StoreError when it holds text that is not Unicode."""
    try:
        return _encoder.encode(value).decode()
    except UnicodeEncodeError as error:
        raise StoreError(
            f"This {type(value).__name__} holds text that is not valid Unicode and cannot be saved.",
            hint="Look for undecodable bytes in its environment, labels or file names.",
            retryable=False,
        ) from error


def decode(kind: type[T], document: str, *, where: str = "") -> T:
    """The value a document holds; StoreError naming `where` when it is not a `kind`."""
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind)
    try:
        value = decoder.decode(document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise StoreError(
            f"{where or kind.__name__} is saved in a form this portway does not understand: {error}.",
            hint="Nothing was changed. Start the portway version that saved it, or restore a backup.",
            retryable=False,
        ) from error
    assert isinstance(value, kind), kind
    return value


def to_body(value: object) -> dict[str, Any]:
    """The value as the body of a Document."""
    return msgspec.to_builtins(value, enc_hook=_plain)


def from_body(kind: type[T], body: Mapping[str, Any], *, where: str = "") -> T:
    """The value a Document's body holds; StoreError naming `where` when it is not a `kind`."""
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        raise StoreError(
            f"{where or kind.__name__} is saved in a form this portway does not understand: {error}.",
            hint="Nothing was changed. Start the portway version that saved it, or restore a backup.",
            retryable=False,
        ) from error
