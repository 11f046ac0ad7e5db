"""An address or URL that was asked about -> who is there, what is wrong with the way to it, and what to do. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from portway.core.app import Protocol
from portway.core.diagnosis import conclude
from portway.core.errors import RequestError
from portway.core.facts import AddressFacts, Bound, Diagnosis, Hop, Reached, Verdict
from portway.core.inside import with_port

_PORT_MAX = 65535
_SUBJECT_LENGTH_MAX = 2000
_SCHEMES = {"http": 80, "https": 443, "tcp": 0, "tls": 0}
_TLS = ("https", "tls")
_HINT = "Ask about an app (web), an instance (web.1), an address (127.0.0.1:8000) or a URL."


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What was asked about: `name` of an App or instance, or an address; `scheme` "" where it is no URL."""

    name: str = ""
    scheme: str = ""
    host: str = ""
    port_number: int = 0
    path: str = ""


def parse_subject(text: str) -> Subject:
    """The subject somebody wrote; RequestError for what can be none."""
    if not text or len(text) > _SUBJECT_LENGTH_MAX or re.search(r"[\s\x00-\x1f\x7f]", text):
        raise RequestError("That is nothing portway can be asked about.", hint=_HINT)
    if "://" in text:
        return _parse_url(text)
    if text.isascii() and text.isdigit():
        return Subject(host="127.0.0.1", port_number=_port_number(text))
    match = re.fullmatch(r"(\[[0-9a-fA-F:.%]+\]|[^:/\[\]]*):([0-9]+)", text)
    if match is None:
        return Subject(name=text)
    host = match[1].strip("[]") or "127.0.0.1"
    return Subject(host="127.0.0.1" if host == "*" else host, port_number=_port_number(match[2]))


def _parse_url(text: str) -> Subject:
    try:
        url = urlsplit(text)
        number, host = url.port, url.hostname or ""
    except ValueError:
        raise RequestError(f'"{text}" is not a URL.', hint=_HINT) from None
    if url.scheme not in _SCHEMES or not host:
        raise RequestError(
            f'"{text}" is not a URL portway can look at.',
            hint="Write http:// or https:// and a host.",
        )
    number = number if number is not None else _SCHEMES[url.scheme]
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    return Subject(scheme=url.scheme, host=host, port_number=_port_number(str(number)), path=path)


def _port_number(text: str) -> int:
    if len(text) > 5 or not 1 <= int(text) <= _PORT_MAX:
        raise RequestError(f"{text} is no port number.", hint=f"Ports go from 1 to {_PORT_MAX}.")
    return int(text)


def diagnose_address(facts: AddressFacts) -> Diagnosis:
    """Walk from a host name to whoever answers there."""
    hops = [*_resolution(facts)]
    if facts.addresses and facts.is_local:
        hops += _listener(facts)
        hops += _of_app(facts.app) if facts.app else ()
        hops += [*_tls(facts), *_answer(facts)]
    return conclude(facts.subject, hops, fine=_fine(facts))


def _of_app(app: Diagnosis) -> list[Hop]:
    """Its walk, without what this one says itself."""
    said = ("portway", "listener")
    return [
        hop
        for hop in app.hops
        if hop.name != "answer" and (hop.verdict is not Verdict.OK or hop.name not in said)
    ]


def _fine(facts: AddressFacts) -> str:
    holder = _foreign(facts)
    if holder is not None and not facts.scheme:
        return f"{_where(facts)} is held by {holder.holder}; it is none of portway's"
    answer = facts.answer
    whose = f" ({facts.ours.what})" if facts.ours else ""
    if answer is not None and answer.status is not None:
        return f"{facts.subject} answers: HTTP {answer.status} in {answer.took_ms} ms{whose}"
    return f"{_where(facts)} accepts connections{whose}"


def _where(facts: AddressFacts) -> str:
    return with_port(facts.host, facts.port_number)


def _resolution(facts: AddressFacts) -> Iterable[Hop]:
    if not facts.addresses:
        fix = f"add it to DNS or /etc/hosts, or ask by address (127.0.0.1:{facts.port_number})"
        yield _hop(
            "name", Verdict.BROKEN, f"{facts.host} means no address: it does not resolve", fix
        )
        return
    shown = ", ".join(facts.addresses[:4])
    said = facts.host if shown == facts.host else f"{facts.host} means {shown}"
    if not facts.is_local:
        text = f"{said}, which is not an address of this machine, so portway cannot look behind it"
        fix = "correct the name (DNS, /etc/hosts), or ask on the machine it means"
        yield _hop("name", Verdict.BROKEN, text, fix)
    else:
        yield _hop("name", Verdict.OK, f"{said}, an address of this machine")


def _listener(facts: AddressFacts) -> Iterable[Hop]:
    here = [one for one in facts.bound if _covers(one, facts)]
    tcp = [one for one in here if one.listening.protocol is Protocol.TCP]
    if not tcp:
        yield _nobody(facts, here)
        return
    first, ours = tcp[0], facts.ours
    if ours is not None and ours.is_listener and not first.is_balancer:
        text = f"{_where(facts)} is held by {first.holder}, and it is {ours.what}"
        yield _hop(
            "listener", Verdict.BROKEN, text, "stop that program, or choose another listener"
        )
    elif ours is not None:
        yield _hop("listener", Verdict.OK, f"{first.holder}; it is {ours.what}")
    else:
        yield _hop("listener", Verdict.OK, f"{first.holder}; it is none of portway's")


def _covers(bound: Bound, facts: AddressFacts) -> bool:
    listening = ip_address(bound.listening.address)
    if listening.is_unspecified:
        return listening.version == 6 or any(":" not in a for a in facts.addresses)
    return bound.listening.address in facts.addresses


def _nobody(facts: AddressFacts, here: list[Bound]) -> Hop:
    ours, elsewhere = facts.ours, [b.listening.address for b in facts.bound]
    where = _where(facts)
    if here:
        text = f"only UDP is open at {where} ({here[0].holder}), no TCP"
        return _hop(
            "listener", Verdict.BROKEN, text, "ask it by UDP; HTTP and TCP have nobody there"
        )
    if ours is not None and elsewhere and not facts.unheard:
        bound = with_port(elsewhere[0], facts.port_number)
        text = f"nobody listens on {where}: {ours.what} is on {bound} only"
        if ours.is_internal:
            text += ", because its port is internal"
            fix = (
                'ask it there, or make it public ("ports" in the manifest) to reach it from outside'
            )
        else:
            fix = "ask it there, or listen on more addresses (PORTWAY_PUBLIC_ADDRESS, the port's host address)"
        return _hop("listener", Verdict.BROKEN, text, fix)
    if facts.unheard:
        fix = f"`aws elbv2 create-listener --port {facts.port_number}` makes one; `portway map` shows those there are"
        return _hop("listener", Verdict.BROKEN, facts.unheard, fix)
    if ours is not None:
        text = f"nobody listens on {where}, though it is {ours.what}"
        return _hop("listener", Verdict.HELD, text, "see what is said of it below")
    if elsewhere:
        bound = with_port(elsewhere[0], facts.port_number)
        text = f"nobody listens on {where}; {facts.bound[0].holder} is on {bound} only"
        return _hop(
            "listener", Verdict.BROKEN, text, f"ask {bound}, or let it listen on {facts.host}"
        )
    text = f"nobody listens on {where}, and portway has nothing there"
    return _hop("listener", Verdict.BROKEN, text, "`portway map` shows every listener there is")


def _tls(facts: AddressFacts) -> Iterable[Hop]:
    answer = facts.answer
    if not facts.scheme or answer is None or answer.reached is not Reached.CONNECTED:
        return
    rest = f"{_where(facts)}{facts.path}"
    wants = facts.scheme in _TLS
    if wants and answer.speaks in ("http", "other"):
        text = (
            f"{_where(facts)} speaks plain {'HTTP' if answer.speaks == 'http' else 'TCP'}, not TLS"
        )
        fix = f"ask http://{rest}, or put a certificate on it (`portway ssl`)"
        yield _hop("tls", Verdict.BROKEN, text, fix)
    elif facts.scheme == "http" and answer.speaks in _TLS:
        yield _hop(
            "tls",
            Verdict.BROKEN,
            f"{_where(facts)} speaks TLS, not plain HTTP",
            f"ask https://{rest}",
        )
    elif wants and answer.certificate is not None:
        yield _certificate(facts)


def _certificate(facts: AddressFacts) -> Hop:
    assert facts.answer is not None
    certificate = facts.answer.certificate
    assert certificate is not None
    names = ", ".join(certificate.names[:4]) or "nobody"
    fix = "give the listener one that fits: `portway ssl`"
    if certificate.expires_at_ms <= facts.now_ms:
        days = (facts.now_ms - certificate.expires_at_ms) // 86_400_000
        text = f"the certificate of {_where(facts)} ({names}) expired {days} days ago"
        return _hop("tls", Verdict.BROKEN, text, fix)
    if not any(matches(name, facts.host) for name in certificate.names):
        text = f"the certificate of {_where(facts)} is for {names}, not for {facts.host}"
        return _hop("tls", Verdict.BROKEN, text, fix)
    if certificate.self_signed:
        text = f"its certificate is for {names} and signed by itself, so nobody trusts it unasked"
        return _hop("tls", Verdict.UNKNOWN, text, fix)
    days = (certificate.expires_at_ms - facts.now_ms) // 86_400_000
    return _hop("tls", Verdict.OK, f"its certificate is for {names}, and good for {days} days")


def matches(name: str, host: str) -> bool:
    """Whether a certificate for `name` is one for `host`: equal, or a wildcard for exactly one label (RFC 6125)."""
    name, host = name.lower().rstrip("."), host.lower().rstrip(".")
    if name.startswith("*."):
        return host.partition(".")[2] == name[2:] and bool(host.partition(".")[0])
    return name == host


def _answer(facts: AddressFacts) -> Iterable[Hop]:
    answer = facts.answer
    if answer is None:
        return
    if answer.reached is not Reached.CONNECTED:
        if any(_covers(one, facts) for one in facts.bound):
            text = f"{_where(facts)} cannot be reached from this machine ({answer.reached.value})"
            yield _hop("answer", Verdict.BROKEN, text, "look at the firewall: `portway doctor`")
        return
    whose = facts.ours.what if facts.ours else "whoever listens there"
    if facts.app is not None and facts.app.verdict is not Verdict.OK and answer.status == 503:
        yield _hop("answer", Verdict.HELD, "HTTP 503: no server is behind it")
    elif answer.status is not None and (answer.status == 404 or answer.status >= 500):
        text = f"the way is open, and {whose} itself answers HTTP {answer.status} at {facts.path}"
        yield _hop("answer", Verdict.BROKEN, text, "correct the path, or look into the app's log")
    elif answer.detail and facts.scheme in ("http", "https"):
        yield _hop(
            "answer", Verdict.BROKEN, f"{_where(facts)}: {answer.detail}", "see the app's log"
        )
    elif answer.status is not None:
        text = f"HTTP {answer.status} from {facts.path} in {answer.took_ms} ms"
        yield _hop("answer", Verdict.OK, text)
    else:
        yield _hop("answer", Verdict.OK, f"it accepts connections within {answer.took_ms} ms")


def _foreign(facts: AddressFacts) -> Bound | None:
    if facts.ours is not None:
        return None
    return next((one for one in facts.bound if _covers(one, facts)), None)


def _hop(name: str, verdict: Verdict, text: str, fix: str = "") -> Hop:
    return Hop(name=name, verdict=verdict, text=text, fix=fix)
