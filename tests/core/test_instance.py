"""The one life of an instance."""

from __future__ import annotations

from itertools import pairwise

from portway.core.instance import InstanceIdentity, InstanceRecord, Phase, instance_id


def test_the_name_of_an_instance_says_its_app_slot_and_serial():
    assert instance_id("httpd/web", slot=1, serial=7) == "httpd/web.1.7"


def test_phases_are_ordered_as_a_life_is_lived():
    life = [Phase.PLANNED, Phase.STARTED, Phase.READY, Phase.DRAINING, Phase.STOPPING, Phase.GONE]
    assert sorted(Phase) == life
    assert all(earlier < later for earlier, later in pairwise(life))


def test_a_record_begins_planned_and_goes_by_its_identity():
    identity = InstanceIdentity(
        id="a/b.1.1", app_id="a/b", slot=1, serial=1, revision="R1", release="R1", node="local"
    )
    record = InstanceRecord(identity=identity, planned_at_ms=5)
    assert (record.id, record.phase, record.failed) == ("a/b.1.1", Phase.PLANNED, False)
