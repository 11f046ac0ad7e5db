from __future__ import annotations

import pytest

from portway.cli.rewrite import rewritten
from portway.core.errors import RequestError
from portway.manifests.compose import parse_compose


def ports_of(text: str, **shifts: int) -> list[tuple[tuple[int, ...], int]]:
    moved = rewritten(text, file="f", variables={"P": "9000"}, shifts=shifts, kept={"web"})
    apps = parse_compose(moved, stack="s", variables={"P": "9000"}).apps
    return [
        (p.service_ports or tuple(filter(None, (p.host_port,))), p.container_port)
        for p in apps[0].ports
    ]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("5000", [((), 5000)]),
        ("6000:7000", [((11000,), 7000)]),
        ("'127.0.0.1:6000:7000'", [((11000,), 7000)]),
        ("'8000-8002:80'", [((13000, 13001, 13002), 80)]),
        ("'514:514/udp'", [((5514,), 514)]),
        ("'${P}:80'", [((14000,), 80)]),
        ("'[::1]:6000:7000'", [((11000,), 7000)]),
        ("{target: 80, published: 6000}", [((11000,), 80)]),
    ],
)
def test_published_ports_move_and_bare_ones_stay(
    written: str, expected: list[tuple[tuple[int, ...], int]]
) -> None:
    assert (
        ports_of(f"services:\n  web:\n    image: x\n    ports: [{written}]\n", web=5000) == expected
    )


def test_labels_that_name_a_port_move_with_it() -> None:
    text = (
        "services:\n  web:\n    image: x\n    ports: ['443:80']\n"
        "    labels: [convox.port.443.protocol=https, other=1]\n"
    )
    moved = rewritten(text, file="f", variables={}, shifts={"web": 4}, kept={"web"})
    (app,) = parse_compose(moved, stack="s").apps
    assert app.ports[0].service_ports == (447,)
    assert app.ports[0].listener.protocol == "https"
    assert app.labels["convox.port.447.protocol"] == "https"


def test_each_service_moves_by_its_own_shift_and_the_rest_is_untouched() -> None:
    text = (
        "web:\n  image: x\n  ports: ['80:80']\n  command: [echo, '$$HOME', '${P:-y}']\n  environment: {A: '', B: 'true'}\n"
        "db:\n  image: x\n  ports: ['90:90']\n"
    )
    before = parse_compose(text, stack="s").apps
    moved = rewritten(text, file="f", variables={}, shifts={"web": 1}, kept={"web", "db"})
    after = parse_compose(moved, stack="s").apps
    assert after[0].ports[0].service_ports == (81,)
    assert after[1] == before[1]
    assert (after[0].command, after[0].environment) == (before[0].command, before[0].environment)


def test_a_shift_beyond_the_last_port_is_refused() -> None:
    with pytest.raises(RequestError, match="Port 60000 shifted by 6000 would be 66000"):
        ports_of("services:\n  web:\n    image: x\n    ports: ['60000:80']\n", web=6000)


@pytest.mark.parametrize("top", ["", "services:\n"])
def test_only_the_services_kept_are_left(top: str) -> None:
    indent = "  " * bool(top)
    text = top + "".join(f"{indent}{name}: {{image: x}}\n" for name in ("web", "db", "mail"))
    moved = rewritten(text, file="f", variables={}, shifts={}, kept={"db", "web"})
    assert [app.name for app in parse_compose(moved, stack="s").apps] == ["web", "db"]
