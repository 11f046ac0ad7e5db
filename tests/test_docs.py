"""The documentation is true as far as a machine can tell: links lead somewhere, examples parse, every setting and key is told."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from portway import config
from portway.core.errors import RequestError
from portway.manifests import compose_keys
from portway.manifests.compose import compose_references, parse_compose
from portway.manifests.compose_labels import _PORTWAY_PORT_SUFFIXES, _SUFFIXES
from portway.manifests.compose_ports import parse_short_port

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "examples").rglob("*.md")]

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def links(page: Path) -> Iterator[str]:
    prose = _FENCE.sub("", page.read_text())
    return (target for target in _LINK.findall(prose) if "://" not in target)


def anchors(page: Path) -> set[str]:
    """What its headings can be linked by, as forges make them."""
    headings = (re.sub(r"[`*]|\[|\]\([^)]*\)", "", h) for h in _HEADING.findall(page.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path):
    for target in links(page):
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), f"{name_of(page)}: {target}"
        if anchor and place.suffix == ".md":
            assert anchor in anchors(place), f"{name_of(page)}: {target}"


def test_every_page_is_reached_from_the_index():
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        paths = (target.partition("#")[0] for target in links(page))
        waiting += [
            p for path in paths if path and (p := (page.parent / path).resolve()).suffix == ".md"
        ]
    assert {name_of(page) for page in PAGES} <= {name_of(page) for page in reached}


def blocks(page: Path, language: str) -> list[str]:
    return [text for found, text in _FENCE.findall(page.read_text()) if found == language]


MANIFESTS = [
    pytest.param(text, id=f"{name_of(page)}-{nth}")
    for page in PAGES
    for nth, text in enumerate(blocks(page, "yaml"), start=1)
]


@pytest.mark.parametrize("text", MANIFESTS)
def test_every_manifest_in_the_documentation_parses_without_a_warning(text: str):
    files = dict.fromkeys(compose_references(text, file="docs.yml").files, "")
    manifest = parse_compose(text, stack="docs", files=files, directory="/docs", profiles=("*",))
    assert manifest.apps
    assert manifest.warnings == ()


def test_every_port_form_of_the_reference_is_one():
    table = (DOCS / "reference" / "compose.md").read_text().split("| written |")[1].split("\n\n")[0]
    forms = [
        f.strip('"')
        for row in table.splitlines()[2:]
        for f in re.findall(r"`([^`]+)`", row.split("|")[1])
    ]
    assert len(forms) >= 10
    for form in forms:
        parse_short_port(form)


def test_the_reference_names_every_key_of_a_service():
    text = (DOCS / "reference" / "compose.md").read_text()
    told = set(re.findall(r"`([a-z_]+)`", text))
    assert set(compose_keys.SERVICE) - told == {"deploy"}
    assert "`deploy.replicas`" in text
    assert set(compose_keys.TOP_LEVEL) <= told | {"version"}


def test_the_reference_puts_every_key_where_the_parser_has_it():
    text = (DOCS / "reference" / "compose.md").read_text()
    ignored = text.split("are ignored, with a warning")[1].split("## ")[0]
    assert set(re.findall(r"`([a-z_]+)`", ignored)) == set(compose_keys.IGNORED)
    refused = text.split("## Service keys that are refused")[1].split("## ")[0]
    keys = {
        key
        for row in refused.splitlines()
        for key in re.findall(r"`([a-z_]+)`", row.partition(" | ")[0])
    }
    assert keys == set(compose_keys.REFUSED)


def test_the_reference_names_every_label():
    text = (DOCS / "reference" / "compose.md").read_text()
    labels = text.split("## Labels")[1]
    for suffix in (*_SUFFIXES, *(f"port.N.{s}" for s in _PORTWAY_PORT_SUFFIXES)):
        head, _, last = suffix.rpartition(".")
        assert (
            f"`portway.{suffix}`" in labels
            or f"`portway.{head}" in labels
            and f"`.{last}`" in labels
        ), suffix


def test_the_configuration_names_every_setting_and_its_default():
    text = (DOCS / "reference" / "configuration.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.+?) \|", text, re.MULTILINE))
    assert set(rows) == {name.replace("_", "-") for name in config._NAMES}
    default = config.Config(home=Path("home"))
    for name in (
        "listen",
        "engine",
        "host_ports",
        "service_ports",
        "publish_address",
        "haproxy",
        "log_level",
    ):
        assert rows[name.replace("_", "-")] == f"`{getattr(default, name)}`", name


def test_the_configuration_file_of_the_documentation_is_understood():
    (text,) = blocks(DOCS / "reference" / "configuration.md", "toml")
    assert tomllib.loads(text)
    files = {"/etc/portway.toml": text, "/etc/token": "0123456789abcdef0123"}
    loaded = config.load_config(
        {"config": "/etc/portway.toml"},
        {},
        read_text=lambda path: files[str(path)],
        is_root=True,
        home_dir="/home/somebody",
    )
    assert (loaded.hold_down_s, loaded.public_address, loaded.token[:4]) == (
        10.0,
        "192.0.2.10",
        "0123",
    )
    assert loaded.warnings == ()


def test_a_misspelt_setting_is_refused_as_the_documentation_says():
    with pytest.raises(RequestError, match="host-ports"):
        config.load_config(
            {"config": "/etc/portway.toml"},
            {},
            read_text=lambda _: 'host-port = "1-2"\n',
            is_root=True,
            home_dir="/home/somebody",
        )


def test_the_architecture_fits_in_one_sitting():
    assert len((ROOT / "ARCHITECTURE.md").read_text().splitlines()) < 200


def test_the_architecture_names_every_package_and_module_of_the_core():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    for package in (path.parent.name for path in (ROOT / "src" / "portway").glob("*/__init__.py")):
        assert f"{package}/" in text, package
    for module in (ROOT / "src" / "portway" / "core").glob("[a-z]*.py"):
        assert module.name in text, module.name
