"""Apps that were not made over Marathon's API, as definitions."""

from __future__ import annotations

from portway.controller.marathon.making import definition_of
from portway.core.app import App, PortSpec
from portway.core.state import AppState, Revision


def test_variables_of_others_are_shown_nowhere() -> None:
    app = App(
        id="shop/web",
        image="nginx",
        command=("serve", "--password=hunter22"),
        environment={"DB_PASSWORD": "hunter22"},
        labels={"note": "from-the-stack"},
        ports=(PortSpec(name="80", container_port=80),),
    )
    target = Revision(id="R1", release="R1", app=app, environment={"ANY": "from-the-stack"})
    state = AppState(app_id=app.id, target=target, count=2, service_ports={"80": 10007})
    found = definition_of(state)
    assert (found["instances"], found["args"]) == (2, ["serve", "--password=***"])
    assert found["labels"] == {"note": "***"}
    assert "env" not in found
    assert found["container"]["portMappings"][0]["servicePort"] == 10007
