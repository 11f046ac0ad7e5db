"""ECS clusters, with boto3."""

from __future__ import annotations

from portway.core.app import App
from portway.core.ecs.labels import SERVICE, TASK, Origin, labels_of
from tests.api.aws.ecs.conftest import Ecs

ARN = "arn:aws:ecs:us-east-1:000000000000:cluster/"


async def run(ecs: Ecs, name: str, kind: str, count: int) -> None:
    labels = labels_of(Origin(kind=kind, cluster="c", service=name))
    app = App(id=f"c/{name}", image="web", labels=labels)
    await ecs.portway.operations.put_app("c", app, count=count)
    await ecs.portway.settled("c")


async def test_a_cluster_is_made_once_and_given_back(ecs: Ecs) -> None:
    made = (await ecs("create_cluster", clusterName="c", tags=[{"key": "k", "value": "v"}]))["cluster"]  # fmt: skip
    assert (made["clusterArn"], made["status"]) == (f"{ARN}c", "ACTIVE")
    assert made["tags"] == [{"key": "k", "value": "v"}]
    assert made["settings"] == [{"name": "containerInsights", "value": "disabled"}]
    assert (await ecs("create_cluster", clusterName="c"))["cluster"] == made
    found = await ecs("describe_clusters", clusters=["c", f"{ARN}c", "none"])
    assert [c["clusterName"] for c in found["clusters"]] == ["c", "c"]
    assert "tags" not in found["clusters"][0] or found["clusters"][0]["tags"] == []
    assert found["failures"] == [{"arn": f"{ARN}none", "reason": "MISSING"}]


async def test_without_a_name_it_is_the_default_one_which_is_always_there(ecs: Ecs) -> None:
    [default] = (await ecs("describe_clusters"))["clusters"]
    assert (default["clusterName"], default["registeredContainerInstancesCount"]) == ("default", 1)
    assert (await ecs("list_clusters"))["clusterArns"] == []
    assert (await ecs("create_cluster"))["cluster"]["clusterName"] == "default"
    assert (await ecs("list_clusters"))["clusterArns"] == [f"{ARN}default"]


async def test_clusters_are_listed_in_pages(ecs: Ecs) -> None:
    for name in ("b", "a", "c"):
        await ecs("create_cluster", clusterName=name)
    first = await ecs("list_clusters", maxResults=2)
    assert first["clusterArns"] == [f"{ARN}a", f"{ARN}b"]
    rest = await ecs("list_clusters", maxResults=2, nextToken=first["nextToken"])
    assert rest["clusterArns"] == [f"{ARN}c"]
    assert "nextToken" not in rest
    code, _ = await ecs.refusal("list_clusters", nextToken="x")  # noqa: S106
    assert code == "InvalidParameterException"


async def test_settings_and_capacity_providers_are_kept(ecs: Ecs) -> None:
    await ecs("create_cluster", clusterName="c")
    insights = [{"name": "containerInsights", "value": "enabled"}]
    changed = await ecs("update_cluster_settings", cluster="c", settings=insights)
    assert changed["cluster"]["settings"] == insights
    assert (await ecs("update_cluster", cluster="c"))["cluster"]["settings"] == insights
    strategy = [{"capacityProvider": "p", "weight": 1, "base": 0}]
    given = {"capacityProviders": ["p"], "defaultCapacityProviderStrategy": strategy}
    kept = (await ecs("put_cluster_capacity_providers", cluster="c", **given))["cluster"]
    assert kept["capacityProviders"] == ["p"]
    assert kept["defaultCapacityProviderStrategy"] == strategy


async def test_its_counts_are_of_what_runs(ecs: Ecs) -> None:
    await ecs("create_cluster", clusterName="c")
    await run(ecs, "web", SERVICE, 2)
    await run(ecs, "job", TASK, 1)
    [shown] = (await ecs("describe_clusters", clusters=["c"], include=["STATISTICS"]))["clusters"]
    counts = ("runningTasksCount", "pendingTasksCount", "activeServicesCount")
    assert [shown[name] for name in counts] == [3, 0, 1]
    figures = {s["name"]: s["value"] for s in shown["statistics"]}
    assert (figures["runningEC2TasksCount"], figures["activeEC2ServiceCount"]) == ("3", "1")


async def test_only_a_cluster_in_which_nothing_runs_is_deleted(ecs: Ecs) -> None:
    await ecs("create_cluster", clusterName="c")
    await run(ecs, "web", SERVICE, 1)
    assert await ecs.refusal("delete_cluster", cluster="c") == (
        "ClusterContainsServicesException",
        "The Cluster cannot be deleted while Services are active.",
    )
    await ecs.portway.operations.remove_app("c", "web")
    await ecs.portway.until(lambda: "c/web" not in ecs.portway.world.apps)
    await run(ecs, "job", TASK, 1)
    code, _ = await ecs.refusal("delete_cluster", cluster="c")
    assert code == "ClusterContainsTasksException"
    await ecs.portway.operations.remove_app("c", "job")
    await ecs.portway.until(lambda: "c/job" not in ecs.portway.world.apps)
    gone = (await ecs("delete_cluster", cluster="c"))["cluster"]
    assert gone["status"] == "INACTIVE"
    assert (await ecs("list_clusters"))["clusterArns"] == []
    assert (await ecs("describe_clusters", clusters=["c"]))["clusters"] == [gone]
    assert await ecs.refusal("delete_cluster", cluster="c") == (
        "ClusterNotFoundException",
        "Cluster not found.",
    )
    assert (await ecs("create_cluster", clusterName="c"))["cluster"]["status"] == "ACTIVE"


async def test_a_cluster_of_another_account_or_a_bad_name_is_refused(ecs: Ecs) -> None:
    other = "arn:aws:ecs:us-east-1:111111111111:cluster/c"
    assert (await ecs.refusal("delete_cluster", cluster=other))[0] == "ClusterNotFoundException"
    code, _ = await ecs.refusal("delete_cluster", cluster="arn:aws:ecs:us-east-1:0:service/c")
    assert code == "InvalidParameterException"
    for name in ("a b", "ünï", "../x", "a/b"):
        code, _ = await ecs.refusal("create_cluster", clusterName=name)
        assert code == "InvalidParameterException"
    twice = [{"key": "k", "value": "1"}, {"key": "k", "value": "2"}]
    code, _ = await ecs.refusal("create_cluster", clusterName="c", tags=twice)
    assert code == "InvalidParameterException"
    connect = {"namespace": "n"}
    code, told = await ecs.refusal("create_cluster", serviceConnectDefaults=connect)
    assert code == "ClientException"
    assert "Cloud Map" in told
