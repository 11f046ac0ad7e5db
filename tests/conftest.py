"""What every test may use, what is skipped where a service is missing, and that a run leaves nothing behind."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests import turns
from tests.e2e import forker
from tests.leftovers import TestRun, docker_answers
from tests.store.postgres_server import find_programs, postgres_server

__all__ = ["postgres_server"]  # one for all files: each that imported it would have its own

# Whatever is imported and collected stays to the end: nothing of it is looked through for garbage, now or later.
gc.disable()

GOLDEN = Path(__file__).parent / "golden"

# What a marker needs: whether it is here, and the sentence where it is not.
SERVICES: dict[str, tuple[Callable[[], object], str]] = {
    "docker": (docker_answers, "No Docker daemon answers; `make setup` sets one up."),
    "haproxy": (
        lambda: shutil.which("haproxy"),
        "HAProxy is not installed: apt-get install haproxy.",
    ),
    "postgres": (find_programs, "PostgreSQL is not installed: apt-get install postgresql."),
}
THIS_MACHINE = "this machine"  # in the reason: what is missing is nothing that could be set up
RUN = pytest.StashKey[TestRun]()

# Debian keeps haproxy where not every user looks.
os.environ["PATH"] = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
# How long an example takes depends on what else the machine does.
settings.register_profile("thorough", deadline=None)
settings.register_profile("fast", deadline=None, max_examples=25)
settings.load_profile("thorough")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew")
    parser.addoption(
        "--everything",
        action="store_true",
        help="fail, instead of skipping, where Docker, HAProxy or PostgreSQL is missing",
    )


def pytest_configure(config: pytest.Config) -> None:
    worker = hasattr(config, "workerinput")
    config.stash[RUN] = TestRun.join() if worker else TestRun.begin()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    missing = {
        marker: sentence
        for marker, (is_here, sentence) in SERVICES.items()
        if any(item.get_closest_marker(marker) for item in items) and not is_here()
    }
    if missing and config.getoption("--everything"):
        raise pytest.UsageError(" ".join(missing.values()))
    for item in items:
        for marker, sentence in missing.items():
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=sentence))
    if hasattr(config, "workerinput"):
        turns.put_in_order(items)
        config.stash[RUN].note_groups({item.nodeid: turns.group_of(item) for item in items})


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object | None:
    """With several workers: who runs what is said in turns.py."""
    return (
        turns.Turns(config, log, config.stash[RUN])
        if config.getoption("dist") == "loadgroup"
        else None
    )


def pytest_collection_finish(session: pytest.Session) -> None:
    gc.freeze()
    gc.enable()
    session.config.stash[RUN].watch_engines()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    run = item.config.stash[RUN]
    funcargs: dict[str, object] = getattr(item, "funcargs", {})
    run.note_databases([run.directory, *(p for p in funcargs.values() if isinstance(p, Path))])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With --everything, a test of a service that is skipped has failed: everything it needs was set up."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and item.config.getoption("--everything"):
        marks = [name for name in SERVICES if item.get_closest_marker(name)]
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        if marks and THIS_MACHINE not in str(reason):
            report.outcome = "failed"
            report.longrepr = f"A test of {' and '.join(marks)} may not be skipped here. {reason}"
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    """The run fails when something it made is still there once every fixture has cleaned up."""
    yield
    if hasattr(session.config, "workerinput"):
        return
    if left := session.config.stash[RUN].end():
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        assert reporter is not None
        reporter.write_sep("=", "left behind by this run", red=True)
        for line in left:
            reporter.write_line(line)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare text with tests/golden/NAME; with --update-golden write it instead."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        assert path.exists(), f"{path} is missing: run pytest with --update-golden and read it"
        assert text == path.read_text()

    return compare


@pytest.fixture(scope="session", autouse=True)
def _what_forks_ends_with_the_run() -> Generator[None]:
    yield
    forker.end()
