"""Addresses and URLs: what they mean, who is there, and the sentence for each way it can be wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from portway.core.app import Protocol
from portway.core.diagnosis_address import Subject, diagnose_address, matches, parse_subject
from portway.core.errors import RequestError
from portway.core.facts import (
    AddressFacts,
    Answer,
    Bound,
    Diagnosis,
    Hop,
    Listening,
    OurPort,
    Reached,
    SeenCertificate,
    Verdict,
)

NOW_MS = 1_800_000_000_000
DAY_MS = 86_400_000
UP = Answer(reached=Reached.CONNECTED, speaks="http", status=200, took_ms=3)
WEB = OurPort(what="the listener of shop/web", is_listener=True)
FINE = Diagnosis(subject="x", verdict=Verdict.OK, sentence="web is well")
ILL_HOP = Hop(name="inside", verdict=Verdict.BROKEN, text="web listens nowhere", fix="mend it")
ILL = Diagnosis(
    subject="x", verdict=Verdict.BROKEN, sentence="web listens nowhere", hops=(ILL_HOP,)
)


def bound(address: str = "0.0.0.0", holder: str = "haproxy (pid 9)", **fields: Any) -> Bound:
    protocol = fields.pop("protocol", Protocol.TCP)
    listening = Listening(port_number=8000, address=address, protocol=protocol)
    return Bound(listening=listening, holder=holder, **{"is_balancer": True, **fields})


def asked(scheme: str = "http", **fields: Any) -> AddressFacts:
    host = fields.get("host", "127.0.0.1")
    subject = f"{scheme}://{host}:8000/" if scheme else f"{host}:8000"
    given: dict[str, Any] = {
        "subject": subject,
        "host": host,
        "port_number": 8000,
        "now_ms": NOW_MS,
        "scheme": scheme,
        "path": "/" if scheme else "",
        "addresses": ("127.0.0.1",),
        "bound": (bound(),),
        "ours": WEB,
        "answer": UP,
        "app": FINE,
    }
    return AddressFacts(**{**given, **fields})


def shown(*names: str, days: int = 30) -> Answer:
    certificate = SeenCertificate(names=names, expires_at_ms=NOW_MS + days * DAY_MS)
    return replace(UP, speaks="https", certificate=certificate)


def foreign(**fields: Any) -> AddressFacts:
    postgres = bound("127.0.0.1", "postgres (pid 12)", is_balancer=False)
    return asked("", **{"ours": None, "app": None, "bound": (postgres,), **fields})


FINE_ONES = {
    "a url": (
        asked(),
        "http://127.0.0.1:8000/ answers: HTTP 200 in 3 ms (the listener of shop/web)",
    ),
    "an address": (
        asked("", answer=replace(UP, status=None)),
        "127.0.0.1:8000 accepts connections (the listener of shop/web)",
    ),
    "somebody else's": (
        foreign(),
        "127.0.0.1:8000 is held by postgres (pid 12); it is none of portway's",
    ),
    "a certificate that fits": (
        asked("https", host="shop.test", answer=shown("*.other.test", "shop.test")),
        "https://shop.test:8000/ answers: HTTP 200 in 3 ms (the listener of shop/web)",
    ),
}


@pytest.mark.parametrize(("given", "sentence"), FINE_ONES.values(), ids=FINE_ONES.keys())
def test_what_is_well_is_said_in_a_sentence(given: AddressFacts, sentence: str):
    found = diagnose_address(given)
    assert (found.verdict, found.sentence) == (Verdict.OK, sentence)


BROKEN = {
    "the name means nothing": (
        asked(host="nosuch.test", addresses=()),
        "nosuch.test means no address: it does not resolve; "
        "add it to DNS or /etc/hosts, or ask by address (127.0.0.1:8000)",
    ),
    "the name means another machine": (
        asked(host="shop.test", addresses=("192.0.2.9",), is_local=False),
        "shop.test means 192.0.2.9, which is not an address of this machine, so portway cannot look "
        "behind it; correct the name (DNS, /etc/hosts), or ask on the machine it means",
    ),
    "nobody is there": (
        asked("", bound=(), ours=None, app=None, answer=None),
        "nobody listens on 127.0.0.1:8000, and portway has nothing there; "
        "`portway map` shows every listener there is",
    ),
    "the listener is on another address": (
        asked(host="192.0.2.2", addresses=("192.0.2.2",), bound=(bound("127.0.0.1"),), answer=None),
        "nobody listens on 192.0.2.2:8000: the listener of shop/web is on 127.0.0.1:8000 only; ask "
        "it there, or listen on more addresses (PORTWAY_PUBLIC_ADDRESS, the port's host address)",
    ),
    "an internal port is asked from outside": (
        asked(
            host="192.0.2.2",
            addresses=("192.0.2.2",),
            bound=(bound("127.0.0.1"),),
            answer=None,
            ours=replace(WEB, is_internal=True),
        ),
        "nobody listens on 192.0.2.2:8000: the listener of shop/web is on 127.0.0.1:8000 only, "
        "because its port is internal; ask it there, or make it public "
        '("ports" in the manifest) to reach it from outside',
    ),
    "somebody else listens elsewhere": (
        foreign(host="192.0.2.2", addresses=("192.0.2.2",)),
        "nobody listens on 192.0.2.2:8000; postgres (pid 12) is on 127.0.0.1:8000 only; "
        "ask 127.0.0.1:8000, or let it listen on 192.0.2.2",
    ),
    "another program has the listener": (
        asked(bound=(bound(holder="nginx (pid 3)", is_balancer=False),)),
        "127.0.0.1:8000 is held by nginx (pid 3), and it is the listener of shop/web; "
        "stop that program, or choose another listener",
    ),
    "only udp is open": (
        foreign(bound=(bound(holder="dns (pid 4)", protocol=Protocol.UDP),), answer=None),
        "only UDP is open at 127.0.0.1:8000 (dns (pid 4)), no TCP; "
        "ask it by UDP; HTTP and TCP have nobody there",
    ),
    "its app is broken": (
        asked(app=ILL, answer=replace(UP, status=503)),
        "web listens nowhere; mend it",
    ),
    "https is asked of http": (
        asked("https"),
        "127.0.0.1:8000 speaks plain HTTP, not TLS; "
        "ask http://127.0.0.1:8000/, or put a certificate on it (`portway ssl`)",
    ),
    "http is asked of https": (
        asked("http", answer=replace(UP, speaks="https")),
        "127.0.0.1:8000 speaks TLS, not plain HTTP; ask https://127.0.0.1:8000/",
    ),
    "the certificate is another's": (
        asked("https", host="shop.test", answer=shown("www.shop.test")),
        "the certificate of shop.test:8000 is for www.shop.test, not for shop.test; "
        "give the listener one that fits: `portway ssl`",
    ),
    "the certificate has expired": (
        asked("https", host="shop.test", answer=shown("shop.test", days=-2)),
        "the certificate of shop.test:8000 (shop.test) expired 2 days ago; "
        "give the listener one that fits: `portway ssl`",
    ),
    "the path is not there": (
        asked(path="/nosuch", answer=replace(UP, status=404)),
        "the way is open, and the listener of shop/web itself answers HTTP 404 at /nosuch; "
        "correct the path, or look into the app's log",
    ),
    "the app says nothing": (
        asked(answer=Answer(reached=Reached.CONNECTED, detail="it closes the connection")),
        "127.0.0.1:8000: it closes the connection; see the app's log",
    ),
    "the firewall is between": (
        asked(answer=Answer(reached=Reached.TIMEOUT)),
        "127.0.0.1:8000 cannot be reached from this machine (timeout); "
        "look at the firewall: `portway doctor`",
    ),
}


@pytest.mark.parametrize(("given", "sentence"), BROKEN.values(), ids=BROKEN.keys())
def test_each_broken_way_is_named_by_its_sentence(given: AddressFacts, sentence: str):
    found = diagnose_address(given)
    assert (found.verdict, found.sentence) == (Verdict.BROKEN, sentence)


def test_a_certificate_signed_by_itself_is_told_and_breaks_nothing():
    certificate = SeenCertificate(
        names=("shop.test",), expires_at_ms=NOW_MS + DAY_MS, self_signed=True
    )
    answer = replace(UP, speaks="https", certificate=certificate)
    found = diagnose_address(asked("https", host="shop.test", answer=answer))
    tls = next(hop for hop in found.hops if hop.name == "tls")
    assert (found.verdict, tls.verdict) == (Verdict.OK, Verdict.UNKNOWN)
    assert "signed by itself" in tls.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("web", Subject(name="web")),
        ("shop/web.1.7", Subject(name="shop/web.1.7")),
        ("8000", Subject(host="127.0.0.1", port_number=8000)),
        (":8000", Subject(host="127.0.0.1", port_number=8000)),
        ("*:8000", Subject(host="127.0.0.1", port_number=8000)),
        ("localhost:80", Subject(host="localhost", port_number=80)),
        ("[::1]:80", Subject(host="::1", port_number=80)),
        ("http://a.test", Subject(scheme="http", host="a.test", port_number=80, path="/")),
        (
            "https://a.test/x?y=1",
            Subject(scheme="https", host="a.test", port_number=443, path="/x?y=1"),
        ),
        ("http://[::1]:81/", Subject(scheme="http", host="::1", port_number=81, path="/")),
    ],
)
def test_a_subject_is_understood_as_people_write_it(text: str, expected: Subject):
    assert parse_subject(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a b",
        "a\nb",
        "0",
        "65536",
        ":0",
        "x:99999",
        "ftp://a/",
        "http://",
        "http://a:b/",
        "tcp://a/",
    ],
)
def test_what_can_be_no_subject_is_refused_with_what_can(text: str):
    with pytest.raises(RequestError) as refused:
        parse_subject(text)
    assert refused.value.hint


@pytest.mark.parametrize(
    ("name", "host", "expected"),
    [
        ("a.test", "A.test.", True),
        ("*.a.test", "b.a.test", True),
        ("*.a.test", "a.test", False),
        ("*.a.test", "c.b.a.test", False),
        ("127.0.0.1", "127.0.0.1", True),
    ],
)
def test_a_wildcard_stands_for_exactly_one_label(name: str, host: str, expected: bool):
    assert matches(name, host) is expected
