"""What listens inside an instance, compared with where its traffic is sent: the hops at the end of the way. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

from portway.core.app import Protocol
from portway.core.facts import Answer, Hop, Inside, Listening, Reached, Verdict

_SHOWN_MAX = 4


def with_port(address: str, number: int) -> str:
    """Address and number as people write them, IPv6 in brackets."""
    return f"[{address}]:{number}" if ":" in address else f"{address}:{number}"


def explain(inside: Inside) -> str:
    """Why nothing answers where the instance's traffic is sent, and what to do, as a phrase; "" when nothing is found."""
    broken = next((h for h in inside_hops(inside) if h.verdict is Verdict.BROKEN), None)
    if broken is None:
        return ""
    return sentence_of(broken)


def sentence_of(hop: Hop) -> str:
    """What is wrong and what to do, in one sentence."""
    fix = hop.fix
    if fix[1:2].islower() and not fix.startswith("Docker"):
        fix = fix[0].lower() + fix[1:]
    return f"{hop.text}; {fix}" if fix else hop.text


def inside_hops(inside: Inside) -> tuple[Hop, Hop]:
    """The way to the instance, and what listens there."""
    listening = _listening_hop(inside)
    return _path_hop(inside, listening), listening


def _path_hop(inside: Inside, listening: Hop) -> Hop:
    where = with_port(inside.address, inside.port_number)
    answer = inside.answer
    if answer is None:
        return _hop("path", Verdict.UNKNOWN, f"{where} was not asked")
    if answer.reached is Reached.CONNECTED:
        straight = " (straight to the container, without NAT or docker-proxy)"
        how = straight if inside.is_container else ""
        return _hop("path", Verdict.OK, f"{where} accepts connections{how}")
    verdict = Verdict.BROKEN if listening.verdict is Verdict.OK else Verdict.HELD
    if answer.reached is Reached.REFUSED:
        return _hop("path", verdict, f"{where} refuses connections", fix=_REFUSED_FIX)
    if inside.rule:
        return _hop(
            "path",
            Verdict.BROKEN,
            f'the firewall of this machine drops what is sent to {inside.name} at {where}: "{inside.rule}"',
            fix=f"delete that rule: {_deletion(inside.rule)}",
        )
    return _hop(
        "path",
        verdict,
        f"what is sent to {inside.name} at {where} gets no answer: something on the way drops it",
        fix="look for DROP and REJECT in `iptables -S` and `nft list ruleset`; `portway doctor` reads them",
    )


_REFUSED_FIX = "it has just ended or closed its port; see its log"


def _deletion(rule: str) -> str:
    return rule.replace("-A ", "iptables -D ", 1)


def _listening_hop(inside: Inside) -> Hop:
    if inside.is_frozen:
        return _hop(
            "inside",
            Verdict.BROKEN,
            f"{inside.name} is frozen: its process is stopped, so it answers nobody",
            fix="let it go on (`docker unpause` or `kill -CONT`), or stop it and it is replaced",
        )
    if inside.answer is not None and inside.answer.reached is Reached.CONNECTED:
        return _speaking_hop(inside, inside.answer)
    if inside.listeners is None:
        return _hop(
            "inside", Verdict.UNKNOWN, f"what {inside.name} listens on cannot be seen from here"
        )
    if any(_reaches(one, inside) for one in _tcp(inside)):
        return _hop("inside", Verdict.OK, _open_text(inside))
    return _hop("inside", Verdict.BROKEN, *_wrong(inside, inside.listeners))


def _speaking_hop(inside: Inside, answer: Answer) -> Hop:
    speaks_tls = answer.speaks in ("https", "tls")
    if inside.expects == "http" and speaks_tls:
        return _hop(
            "inside",
            Verdict.BROKEN,
            f"{inside.name} speaks TLS on {inside.port_number}{_place(inside)}, and it is asked in plain HTTP",
            fix=f'set the label portway.port.{inside.label_number}.secure: "true", '
            "or let it speak plain HTTP there",
        )
    if inside.expects == "https" and answer.speaks in ("http", "other"):
        return _hop(
            "inside",
            Verdict.BROKEN,
            f"{inside.name} speaks no TLS on {inside.port_number}{_place(inside)}, and it is asked in TLS",
            fix=f"remove the label portway.port.{inside.label_number}.secure, "
            "or let it speak TLS there",
        )
    return _hop("inside", Verdict.OK, _open_text(inside))


def _open_text(inside: Inside) -> str:
    shown = [one for one in inside.listeners or () if one.port_number == inside.port_number]
    if not shown:
        return f"{inside.name} answers on port {inside.port_number}"
    return f"{inside.name} listens on {_shown(shown)}{_place(inside)}"


def _wrong(inside: Inside, listeners: Sequence[Listening]) -> tuple[str, str]:
    """What is wrong with what it listens on, and the mend."""
    tcp = _tcp(inside)
    asked = f"0.0.0.0:{inside.port_number}" if inside.is_container else "$PORT"
    udp = [
        x for x in listeners if x.protocol is Protocol.UDP and x.port_number == inside.port_number
    ]
    if udp and not tcp:
        text = (
            f"{inside.name} listens on UDP {inside.port_number}{_place(inside)} and on no TCP port"
        )
        return text, f"make it listen on TCP {asked}, or map the port as UDP ({_udp_form(inside)})"
    if not tcp:
        return f"{inside.name} listens on no TCP port{_place(inside)}", _mend(tcp, inside)
    only = [x for x in tcp if x.port_number == inside.port_number and _is_ipv6_only(x, inside)]
    if only and not any(_reaches(x, inside) for x in tcp):
        text = f"{inside.name} listens on IPv6 only ({_shown(only)}){_place(inside)}"
        return text, f"make it listen on 0.0.0.0:{inside.port_number} too; traffic comes by IPv4"
    return f"{inside.name} listens on {_shown(tcp)}{_place(inside)}", _mend(tcp, inside)


def _udp_form(inside: Inside) -> str:
    return f'"{inside.port_number}:{inside.port_number}/udp" in `ports`'


def _mend(listeners: Sequence[Listening], inside: Inside) -> str:
    number = inside.port_number
    if not inside.is_container:
        return f"make it listen on $PORT ({number} here)"
    if any(one.port_number in inside.host_ports for one in listeners):
        return (
            "that is its port on the host, which $PORT and $HOST tell it; set "
            f"PORT: {number} and HOST: 0.0.0.0 in its environment"
        )
    bind = f"make it listen on 0.0.0.0:{number}"
    mine = [one for one in listeners if one.port_number == number]
    if mine:
        return f"{bind}, for {mine[0].address} is its own and nobody else's"
    others = sorted({one.port_number for one in listeners})
    if not others:
        return bind
    open_ones = sorted({one.port_number for one in listeners if _is_open(one, inside)})
    also = "" if open_ones else " and make it listen there on 0.0.0.0"
    other = (open_ones or others)[0]
    return f"{bind}, or map {other} (the right number of its port in the manifest){also}"


def _reaches(listening: Listening, inside: Inside) -> bool:
    return listening.port_number == inside.port_number and _is_open(listening, inside)


def _is_open(listening: Listening, inside: Inside) -> bool:
    """Whether others reach that address of it."""
    parsed = ip_address(listening.address)
    if _is_ipv6_only(listening, inside):
        return False
    if inside.is_container:
        return not parsed.is_loopback
    return parsed.is_unspecified or listening.address == inside.address


def _is_ipv6_only(listening: Listening, inside: Inside) -> bool:
    """[::] takes IPv4 as well unless told not to, which only a refused connection tells."""
    if ":" not in listening.address or ":" in inside.address or not inside.address:
        return False
    parsed = ip_address(listening.address)
    if parsed.is_loopback:
        return False
    refused = inside.answer is not None and inside.answer.reached is Reached.REFUSED
    asked = listening.port_number == inside.port_number
    return (refused and asked) if parsed.is_unspecified else True


def _tcp(inside: Inside) -> list[Listening]:
    return [one for one in inside.listeners or () if one.protocol is Protocol.TCP]


def _place(inside: Inside) -> str:
    return " inside its container" if inside.is_container else ""


def _shown(listeners: Sequence[Listening]) -> str:
    found = [with_port(x.address, x.port_number) for x in listeners[:_SHOWN_MAX]]
    return " and ".join(found)


def _hop(name: str, verdict: Verdict, text: str, fix: str = "") -> Hop:
    return Hop(name=name, verdict=verdict, text=text, fix=fix)
