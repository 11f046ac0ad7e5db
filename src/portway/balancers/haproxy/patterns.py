"""Conditions of rules -> HAProxy's ACLs. Pure.

A user's text is written as a regular expression of letters, digits and escapes alone, so nothing in it can end
a word, a line or an expression.
"""

from __future__ import annotations

import string

from portway.core.rules import Condition, Part, wildcards

_PLAIN = frozenset((string.ascii_letters + string.digits).encode())
# In an expression of the user's own only these end what surrounds it: the quote, and what is no printable ASCII.
_KEPT = frozenset(range(0x20, 0x7F)) - {ord("'")}
_FETCH = {
    Part.HOST: "req.hdr(host),host_only",
    Part.PATH: "path",
    Part.METHOD: "method",
    Part.QUERY: "query",
}
_MINDS_CASE = frozenset({Part.PATH, Part.METHOD})


def literal(text: str) -> str:
    """The text as one word of the configuration that means itself, in a log format too."""
    return "".join(
        chr(byte) if byte in _PLAIN else f"\\x{byte:02x}"
        for byte in text.replace("%", "%%").encode()
    )


def acl(name: str, condition: Condition) -> str:
    """The line that defines ACL `name`: true when any value of the condition fits."""
    if condition.part is Part.SOURCE:
        return f"acl {name} src -m ip -- {' '.join(condition.values)}"
    fetch = _FETCH.get(condition.part) or f"req.fhdr({condition.name})"
    case = "" if condition.part in _MINDS_CASE else "-i "
    return f"acl {name} '{fetch}' -m reg {case}-- '{_expression(condition)}'"


def _expression(condition: Condition) -> str:
    if condition.part is Part.QUERY:
        return f"(?:^|&)(?:{'|'.join(_pair(*pair) for pair in condition.pairs)})(?:&|$)"
    if condition.is_regex:
        return "|".join(f"(?:{_kept(value)})" for value in condition.values)
    if condition.part is Part.METHOD:
        return f"^(?:{'|'.join(map(_escaped, condition.values))})$"
    return f"^(?:{'|'.join(_wild(value, '.') for value in condition.values)})$"


def _pair(key: str, value: str) -> str:
    """A piece between `&` whose first `=`, if any, parts the key from the value."""
    if {"\\=", "\\&"} & set(wildcards(key)) or "\\&" in wildcards(value):
        return "(?!)"  # no piece has one of these there
    its_key = _wild(key, "[^&=]") if key else "[^&=]*"
    # A piece without `=` has an empty value.
    after = "?" if all(piece == "*" for piece in wildcards(value)) else ""
    return f"{its_key}(?:={_wild(value, '[^&]')}){after}"


def _wild(pattern: str, any_one: str) -> str:
    known = {"*": f"{any_one}*", "?": any_one}
    return "".join(known.get(piece) or _escaped(piece[1]) for piece in wildcards(pattern))


def _escaped(text: str) -> str:
    return "".join(chr(byte) if byte in _PLAIN else f"\\x{byte:02x}" for byte in text.encode())


def _kept(expression: str) -> str:
    """A regular expression, in the same meaning, without what would end the word it is written in."""
    done = bytearray()
    content = expression.encode()
    for at, byte in enumerate(content):
        if byte in _KEPT:
            done.append(byte)
            continue
        if _is_escaped(content[:at]):
            done.pop()  # a backslash before what is no letter means nothing
        done += f"\\x{byte:02x}".encode()
    return done.decode()


def _is_escaped(before: bytes) -> bool:
    return (len(before) - len(before.rstrip(b"\\"))) % 2 == 1
