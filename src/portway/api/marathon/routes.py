"""The table of the Marathon face: every operation, once. docs/reference/marathon.md is made from it."""

from __future__ import annotations

from portway.api.marathon import apps, deployments, events, groups, misc, pods, queue, tasks
from portway.api.marathon.call import Endpoint
from portway.api.roles import Role

_FORCE = ("force",)
_KILL = ("scale", "wipe", "force")
_DRAINED = "instances are drained before they are stopped; wipe is the same as a kill, for there are no persistent volumes"

# The first path that fits is taken, so the narrower ones come first.
ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        method="GET",
        path="/v2/apps",
        handle=apps.list_apps,
        tells="the apps, with counts and deployments",
        parameters=("cmd", "id", "label", "embed"),
        differs="apps made otherwise (compose, ECS) are listed too; they are read only",
    ),
    Endpoint(
        method="POST",
        path="/v2/apps",
        handle=apps.create_app,
        tells="makes an app",
        parameters=_FORCE,
    ),
    Endpoint(
        method="PUT",
        path="/v2/apps",
        handle=apps.put_apps,
        tells="changes or makes several apps in one deployment",
        parameters=("force", "partialUpdate"),
    ),
    Endpoint(
        method="PATCH",
        path="/v2/apps",
        handle=apps.patch_apps,
        tells="changes several apps that are there",
        parameters=_FORCE,
    ),
    *(
        Endpoint(
            method=method,
            path=f"/v2/apps{group}/*{end}",
            handle=handle,
            tells=tells,
            parameters=parameters,
        )
        for group in ("", "/{group}")
        for method, end, handle, tells, parameters in (
            ("GET", "", apps.show_apps_of_group, "the apps of a group and its groups", ("embed",)),
            ("GET", "/tasks", tasks.list_tasks_of_group, "their tasks", ()),
            ("DELETE", "/tasks", tasks.kill_tasks_of_group, "kills their tasks", _KILL),
        )
    ),
    Endpoint(
        method="POST",
        path="/v2/apps/{id}/restart",
        handle=apps.restart_app,
        tells="replaces every task within the upgrade strategy",
        parameters=_FORCE,
    ),
    Endpoint(
        method="GET", path="/v2/apps/{id}/tasks", handle=tasks.list_tasks_of_app, tells="its tasks"
    ),
    Endpoint(
        method="DELETE",
        path="/v2/apps/{id}/tasks",
        handle=tasks.kill_tasks_of_app,
        tells="kills its tasks",
        parameters=("host", *_KILL),
        differs=_DRAINED,
    ),
    Endpoint(
        method="DELETE",
        path="/v2/apps/{id}/tasks/{task}",
        handle=tasks.kill_task,
        tells="kills one of its tasks",
        parameters=_KILL,
        differs=_DRAINED,
    ),
    Endpoint(
        method="GET",
        path="/v2/apps/{id}/versions",
        handle=apps.list_versions,
        tells="the newest 50 versions of its definition",
    ),
    Endpoint(
        method="GET",
        path="/v2/apps/{id}/versions/{version}",
        handle=apps.show_version,
        tells="its definition in a version",
    ),
    Endpoint(
        method="GET",
        path="/v2/apps/{id}",
        handle=apps.show_app,
        tells="one app, with its tasks and its last failure",
        parameters=("embed",),
    ),
    Endpoint(
        method="PUT",
        path="/v2/apps/{id}",
        handle=apps.put_app,
        tells="changes or makes an app; with a version alone goes back to it",
        parameters=("force", "partialUpdate"),
    ),
    Endpoint(
        method="PATCH",
        path="/v2/apps/{id}",
        handle=apps.patch_app,
        tells="changes an app that is there",
        parameters=_FORCE,
    ),
    Endpoint(
        method="DELETE",
        path="/v2/apps/{id}",
        handle=apps.delete_app,
        tells="removes an app; force is true unless it says otherwise",
        parameters=_FORCE,
    ),
    *(
        Endpoint(
            method=method,
            path=f"/v2/groups{group}{end}",
            handle=handle,
            tells=tells,
            parameters=parameters,
            differs=differs,
        )
        for group in ("", "/{id}")
        for method, end, handle, tells, parameters, differs in (
            (
                "GET",
                "/versions",
                groups.list_group_versions,
                "its versions",
                (),
                "those of the newest 50 deployments",
            ),
            ("GET", "/versions/{version}", groups.show_group_version, "it in a version", (), ""),
            ("GET", "/apps", groups.list_apps_of_group, "its apps as a list", ("embed",), ""),
        )
    ),
    Endpoint(
        method="PATCH",
        path="/v2/groups/{id}",
        handle=groups.patch_group,
        tells="says whether a top-level group enforces its role",
    ),
    *(
        Endpoint(
            method=method,
            path=f"/v2/groups{group}",
            handle=handle,
            tells=tells,
            parameters=parameters,
        )
        for group in ("", "/{id}")
        for method, handle, tells, parameters in (
            ("GET", groups.show_group, "a group as a tree", ("embed",)),
            ("POST", groups.create_group, "makes a group", _FORCE),
            (
                "PUT",
                groups.put_group,
                "changes a group, scales it or goes back to a version",
                ("force", "dryRun"),
            ),
            ("DELETE", groups.delete_group, "removes a group and all in it", _FORCE),
        )
    ),
    Endpoint(
        method="GET",
        path="/v2/pods::status",
        handle=pods.list_pod_statuses,
        tells="how all pods stand",
    ),
    Endpoint(
        method="GET",
        path="/v2/pods/{id}::status",
        handle=pods.show_pod_status,
        tells="how a pod and its instances stand",
    ),
    Endpoint(
        method="GET",
        path="/v2/pods/{id}::versions",
        handle=pods.list_pod_versions,
        tells="the newest 50 versions of its definition",
    ),
    Endpoint(
        method="GET",
        path="/v2/pods/{id}::versions/{version}",
        handle=pods.show_pod_version,
        tells="its definition in a version",
    ),
    Endpoint(
        method="DELETE",
        path="/v2/pods/{id}::instances",
        handle=pods.kill_pod_instances,
        tells="kills the instances the body names",
        parameters=("wipe",),
        differs=_DRAINED,
    ),
    Endpoint(
        method="DELETE",
        path="/v2/pods/{id}::instances/{instance}",
        handle=pods.kill_pod_instance,
        tells="kills one instance",
        parameters=("wipe",),
        differs=_DRAINED,
    ),
    Endpoint(method="GET", path="/v2/pods", handle=pods.list_pods, tells="the pods"),
    Endpoint(
        method="POST",
        path="/v2/pods",
        handle=pods.create_pod,
        tells="makes a pod",
        parameters=_FORCE,
    ),
    Endpoint(method="GET", path="/v2/pods/{id}", handle=pods.show_pod, tells="one pod"),
    Endpoint(
        method="PUT",
        path="/v2/pods/{id}",
        handle=pods.put_pod,
        tells="changes a pod",
        parameters=_FORCE,
    ),
    Endpoint(
        method="DELETE",
        path="/v2/pods/{id}",
        handle=pods.delete_pod,
        tells="removes a pod",
        parameters=_FORCE,
    ),
    Endpoint(
        method="GET",
        path="/v2/tasks",
        handle=tasks.list_tasks,
        tells="all tasks; as lines of text where Accept asks for text/plain",
        parameters=("status", "status[]"),
    ),
    Endpoint(
        method="POST",
        path="/v2/tasks/delete",
        handle=tasks.delete_tasks,
        tells="kills the tasks the body names",
        parameters=_KILL,
        differs=_DRAINED,
    ),
    Endpoint(
        method="GET",
        path="/v2/deployments",
        handle=deployments.list_deployments,
        tells="the deployments that run",
        differs="those of other faces are not among them",
    ),
    Endpoint(
        method="DELETE",
        path="/v2/deployments/{deployment}",
        handle=deployments.cancel_deployment,
        tells="cancels a deployment and puts back what it changed; with force it only ends",
        parameters=_FORCE,
        differs="with force the steps not begun are left undone; an app whose step has begun is still brought to its target",
    ),
    Endpoint(
        method="GET",
        path="/v2/queue",
        handle=queue.list_queue,
        tells="what waits to be started, and for what",
        parameters=("embed",),
        differs="a node that was looked at counts as an offer; there are no unused offers to embed; `role` is that of the `app` or `pod`, not told again beside it, for the PyPI client knows no such member",
    ),
    Endpoint(
        method="DELETE",
        path="/v2/queue/{id}/delay",
        handle=queue.reset_delay,
        tells="has the next start wait no longer",
    ),
    Endpoint(
        method="GET",
        path="/v2/events",
        handle=events.stream_events,
        tells="what happens from now on, as server-sent events",
        parameters=("event_type", "plan-format"),
        differs="the groups of a plan hold only what it changes; light plans have none, as in Marathon 1.11",
    ),
    Endpoint(
        method="GET",
        path="/v2/info",
        handle=misc.show_info,
        tells="the version, the leader and the settings",
        differs="settings that have no meaning here are null",
    ),
    Endpoint(method="GET", path="/v2/leader", handle=misc.show_leader, tells="this server"),
    Endpoint(
        method="DELETE",
        path="/v2/leader",
        handle=misc.abdicate,
        tells="has the server begin anew as another leader would",
        role=Role.ADMIN,
        differs="there is one server: it reads everything again and ends the event streams",
    ),
    Endpoint(
        method="GET",
        path="/v2/plugins",
        handle=misc.list_plugins,
        tells="the plugins",
        differs="there are none",
    ),
    Endpoint(
        method="GET", path="/ping", handle=misc.ping, tells="pong, in the form Accept asks for"
    ),
)
