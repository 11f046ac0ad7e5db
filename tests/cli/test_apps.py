"""The table of stacks stays readable however many Apps a stack has."""

from __future__ import annotations

from tests.cli import views
from tests.cli.conftest import Run
from tests.cli.fake_server import FakeServer


def test_of_many_apps_those_that_ail_are_shown_and_the_others_counted(
    run: Run, fake: FakeServer
) -> None:
    apps = [views.app(name=f"a{n}", healthy=1 if n == 7 else 2) for n in range(9)]
    urls = [f"http://127.0.0.1:{8000 + n}/" for n in range(7)]
    fake.on("GET /stacks", [views.stack(apps=apps, urls=urls)])
    said = run("apps").out
    assert "  a7 1/2, a0 2/2, a1 2/2, a2 2/2, a3 2/2, a4 2/2, and 3 more  " in said
    assert "http://127.0.0.1:8005/  and 1 more\n" in said


def test_why_a_stack_ails_stands_below_the_table(run: Run, fake: FakeServer) -> None:
    refused = "Port 8000 cannot be listened on: it is held by nginx (pid 7).\n  Stop that."
    ailing = views.stack(status="degraded", apps=[views.app(status="blocked", blocked=refused)])
    fake.on("GET /stacks", [ailing, views.stack(name="fine")])
    assert run("apps").out.splitlines()[3:] == ["", f"httpd/web: {refused.partition(chr(10))[0]}"]
