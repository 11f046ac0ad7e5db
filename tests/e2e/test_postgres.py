"""The whole of portway with PostgreSQL as its store."""

from __future__ import annotations

import pytest

from tests.e2e.machine import Machine, free_port, get, until
from tests.store.postgres_server import PASSWORD, PostgresServer

pytestmark = [pytest.mark.postgres, pytest.mark.haproxy, pytest.mark.timeout(120)]

MANIFEST = """
services:
  web:
    command: python3 -m http.server $PORT --bind 127.0.0.1
    ports: ["{listener}:80"]
    stop_grace_period: 1s
"""


def test_a_server_killed_with_postgresql_as_its_store_goes_on_where_it_stopped(
    processes: Machine, postgres_server: PostgresServer
):
    listener = free_port()
    processes.variables["PORTWAY_STORE_URL"] = postgres_server.url(postgres_server.new_database())
    processes.manifest(MANIFEST.format(listener=listener))
    processes.ok("deploy")
    assert processes.json("server", "status")["store"] == "postgresql"
    before = [i["id"] for i in processes.json("ps")]
    processes.kill_server()
    processes.start_server()
    assert [i["id"] for i in processes.json("ps")] == before
    processes.ok("scale", "web=2")
    until(lambda: get(f"http://127.0.0.1:{listener}/"))
    assert PASSWORD not in processes.ok("server", "status")
    assert PASSWORD not in (processes.home / "server.log").read_text()
