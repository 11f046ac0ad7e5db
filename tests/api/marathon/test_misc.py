"""About the server itself: info, leader, ping, the headers of every answer."""

from __future__ import annotations

from tests.api.marathon.client import Client


async def test_ping_answers_in_the_form_asked_for(ask: Client) -> None:
    for accepted, status, body in (
        ("*/*", 200, b"pong"),
        ("text/plain", 200, b"pong"),
        ("text/html", 200, b"pong"),
        ("application/json", 200, b'"pong"'),
        ("image/png", 204, b""),
    ):
        reply = await ask("GET", "/ping", accept=accepted)
        assert (reply.status, reply.body) == (status, body)
    assert (await ask("GET", "/ping")).headers["content-type"].startswith("text/plain")


async def test_a_browser_is_led_from_the_root_to_a_page(ask: Client) -> None:
    for path, there in (("/", "/ui/"), ("/ui/", "/docs"), ("/help", "/docs")):
        reply = await ask("GET", path, accept="text/html")
        assert (reply.status, reply.headers["location"]) == (302, there)
    assert (await ask("GET", "/docs")).status == 200


async def test_prometheus_finds_its_page_at_either_path(ask: Client) -> None:
    pages = [await ask("GET", path) for path in ("/metrics", "/metrics/prometheus")]
    assert {(page.status, page.headers["content-type"]) for page in pages} == {
        (200, pages[0].headers["content-type"])
    }


async def test_info_says_what_it_is(ask: Client) -> None:
    info = await ask.get("/v2/info")
    assert (info["name"], info["elected"]) == ("marathon", True)
    assert info["version"].startswith("1.11.")
    assert info["leader"] == (await ask.get("/v2/leader"))["leader"]
    config = info["marathon_config"]
    assert (config["local_port_min"], config["local_port_max"]) == (10000, 20000)
    assert config["default_network_name"] is None
    assert await ask.get("/v2/plugins") == {"plugins": []}


async def test_a_new_leader_reads_everything_again(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", {"id": "/a", "cmd": "sleep 1"})
    with ask.marathon.happenings.listening() as listener:
        reply = await ask("DELETE", "/v2/leader")
        assert reply.json == {"message": "Leadership abdicated"}
        assert [one async for one in listener] == []
    assert (await ask.get("/v2/apps/a"))["app"]["tasksRunning"] == 1


async def test_every_answer_has_marathons_headers(ask: Client) -> None:
    for url in ("/v2/apps", "/v2/info", "/v2/nothing", "/ping"):
        headers = (await ask("GET", url)).headers
        assert headers["cache-control"] == "no-cache, no-store, must-revalidate"
        assert (headers["pragma"], headers["expires"]) == ("no-cache", "0")
        assert headers["x-marathon-leader"] == "http://127.0.0.1:8080"


async def test_what_is_unchanged_is_not_sent_again(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", {"id": "/a", "cmd": "sleep 1"})
    first = await ask("GET", "/v2/apps/a")
    again = await ask("GET", "/v2/apps/a", If_None_Match=first.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    await ask.deploy("PUT", "/v2/apps/a", {"instances": 2})
    changed = await ask("GET", "/v2/apps/a", If_None_Match=first.headers["etag"])
    assert changed.status == 200


async def test_a_method_that_is_none_is_405(ask: Client) -> None:
    reply = await ask("DELETE", "/v2/info")
    assert reply.status == 405
    assert reply.headers["allow"] == "GET, HEAD"


async def test_addresses_are_read_as_clients_write_them(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", {"id": "/a/b", "cmd": "sleep 1"})
    for url in (
        "/v2/apps/a/b",
        "/v2/apps//a/b",
        "/v2/apps/a/b/",
        "/v2/apps/%2Fa%2Fb",
        "/v2//apps//a//b",
    ):
        assert (await ask.get(url))["app"]["id"] == "/a/b"


async def test_a_body_too_large_is_refused(ask: Client) -> None:
    status, told = await ask.refusal("POST", "/v2/apps", text='"' + "x" * (17 << 20) + '"')
    assert status == 413
    assert told["message"]
