"""The catalogue: what is known by path, kept in step with what is put and removed."""

from __future__ import annotations

from typing import Any

from portway.controller.marathon.catalogue import (
    Catalogue,
    Deployment,
    Entry,
    EntryChange,
    Group,
    Status,
)


def entry(path: str, version: str = "1", **definition: Any) -> Entry:
    body = {"id": path, "version": version, **definition}
    app_id = path.strip("/").replace("/", "_")
    return Entry(path=path, kind="app", definition=body, app_id=f"s/{app_id}")


def ports(*numbers: int) -> list[dict[str, int]]:
    return [{"port": number} for number in numbers]


def test_a_group_is_there_as_long_as_anything_is_in_it() -> None:
    known = Catalogue()
    known.put(entry("/a/b/c"))
    known.put(entry("/a/d"))
    assert known.group_paths() == {"/a", "/a/b"}
    known.remove("/a/b/c")
    known.remove("/a/b/c")
    assert known.group_paths() == {"/a"}
    assert known.has_group("/")
    assert not known.has_group("/a/b")
    known.put_group(Group(path="/x/y", version="2"))
    assert known.has_group("/x")


def test_used_service_ports_are_counted() -> None:
    known = Catalogue()
    known.put(entry("/a", portDefinitions=ports(1, 2)))
    known.put(entry("/b", portDefinitions=ports(2)))
    assert set(known.used_ports) == {1, 2}
    known.put(entry("/a", portDefinitions=ports(3)))
    assert set(known.used_ports) == {2, 3}
    known.remove("/b")
    assert set(known.used_ports) == {3}


def test_a_group_is_as_new_as_the_newest_in_it() -> None:
    known = Catalogue()
    known.put(entry("/a/b", "2"))
    known.put(entry("/c", "3"))
    assert (known.group_versions["/a"], known.version) == ("2", "3")


def test_ended_deployments_are_undone_back_to_a_version() -> None:
    known, old, new = Catalogue(), entry("/a", "1"), entry("/a", "2")
    known.put(new)
    for version, before, after in (("1", None, old), ("2", old, new)):
        change = EntryChange(path="/a", kind="app", before=before, after=after)
        done = Deployment(
            id=version, version=version, started_at_ms=0, changes=(change,), status=Status.DONE
        )
        known.end(done, kept_max=10)
    assert known.versions_of_root() == ["2", "1"]
    then = known.undone_to("1")
    assert then is not None
    assert then[0] == {"/a": old}
    assert known.undone_to("0") is None


def test_only_so_many_ended_deployments_are_kept() -> None:
    known = Catalogue()
    gone = [
        known.end(Deployment(id=name, version=name, started_at_ms=0), kept_max=2) for name in "abc"
    ]
    assert [one.id if one else None for one in gone] == [None, None, "a"]
