"""Which stream the lines of a container go to."""

from __future__ import annotations

from portway.core.app import App, Container
from portway.core.log_streams import Destination, destinations, has_logs

LABELS = {"portway.logs.awslogs-group": "/ecs/web", "portway.logs.awslogs-stream-prefix": "ecs"}


def test_a_stream_is_named_after_prefix_container_and_task():
    app = App(id="c/web", container_name="nginx", labels=LABELS)
    made = Destination(group="/ecs/web", stream="ecs/nginx/t1")
    assert destinations(app, "t1") == {"": made, "nginx": made}
    assert has_logs(app)


def test_each_container_of_several_has_its_own_or_none():
    creating = {"portway.logs.awslogs-group": "g", "portway.logs.awslogs-create-group": "true"}
    quiet = Container(name="quiet", image="i")
    side = Container(name="side", image="i", labels=creating)
    app = App(id="c/web", container_name="main", containers=(quiet, side))
    assert destinations(app, "t1") == {
        "side": Destination(group="g", stream="side/t1", creates_group=True)
    }
    assert has_logs(app)


def test_an_app_without_the_driver_has_no_streams():
    app = App(id="shop/web", labels={"a": "b"})
    assert destinations(app, "t1") == {}
    assert not has_logs(app)
