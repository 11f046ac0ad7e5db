"""The server's log: one event a line, its subject in fields, never a secret."""

from __future__ import annotations

import json

import pytest
import structlog

from portway.core.events import Event
from portway.logs import hide_secrets, log_event, name_subject, set_up_logs


@pytest.fixture(autouse=True)
def _own_configuration():
    yield
    structlog.reset_defaults()


def test_text_lines_are_pairs_with_the_subject_first(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(level="info", form="text")
    structlog.get_logger().warning("action_failed", action="instance shop/web.1.2", error="no, it")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.partition(" ")[2] == (
        "level=warning event=action_failed stack=shop app=shop/web instance=shop/web.1.2 "
        'action="instance shop/web.1.2" error="no, it"'
    )


def test_json_lines_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(level="warning", form="json")
    structlog.get_logger().info("too_quiet")
    structlog.get_logger().warning("heard", app="shop/web")
    (line,) = capsys.readouterr().err.splitlines()
    written = json.loads(line)
    assert (written["event"], written["app"], written["stack"]) == ("heard", "shop/web", "shop")


@pytest.mark.parametrize(
    ("line", "subject"),
    [
        ({"action": "routes shop/web"}, {"app": "shop/web", "stack": "shop"}),
        ({"instance": "shop/web.1.2"}, {"app": "shop/web", "stack": "shop"}),
        ({"stack": "given", "app": "shop/web"}, {"stack": "given"}),
        ({"app": "alone"}, {}),
    ],
)
def test_what_can_be_told_of_the_subject_is(line: dict[str, str], subject: dict[str, str]) -> None:
    assert name_subject(None, "info", dict(line)) == {**line, **subject}


def test_no_secret_is_written() -> None:
    line = {
        "token": "canary", "db_password": "canary", "error": "postgres://ada:canary@db/x refused",
        "header": "Authorization: Bearer canary", "harmless": "http://127.0.0.1:8080/",
    }  # fmt: skip
    written = hide_secrets(None, "info", line)
    assert "canary" not in str(written)
    assert written["error"] == "postgres://ada:***@db/x refused"
    assert written["harmless"] == "http://127.0.0.1:8080/"


def test_an_event_of_the_journal_is_a_line_with_all_it_is_about(
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_up_logs(level="info", form="json")
    log_event(
        Event(
            at_ms=1,
            kind="instance.started",
            message="web.1.2 started",
            stack="shop",
            app_id="shop/web",
            instance_id="shop/web.1.2",
            deployment="D",
        )
    )
    log_event(Event(at_ms=1, kind="deployment.failed", message="failed: no", stack="shop"))
    started, failed = map(json.loads, capsys.readouterr().err.splitlines())
    assert (started["event"], started["level"], started["instance"], started["deployment"]) == (
        "instance.started", "info", "shop/web.1.2", "D",
    )  # fmt: skip
    assert failed["level"] == "warning"
