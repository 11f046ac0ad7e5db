"""What every engine promises about what its instances use."""

from __future__ import annotations

from portway.engines.base import InstanceEngine, Usage
from portway.engines.memory import MemoryEngine
from tests.contract.engines import EngineAdapter, ended, until


async def test_processor_time_grows_and_memory_is_told_while_it_runs(
    adapter: EngineAdapter, engine: InstanceEngine
) -> None:
    request = adapter.request("sleep")
    wanted_id = request.identity.id
    await engine.start(request)
    assert await engine.usage([]) == {}
    if isinstance(engine, MemoryEngine):
        engine.use(wanted_id, Usage(cpu_us=1, memory_bytes=1))

    async def has_used() -> bool:
        found = await engine.usage([wanted_id, "contract/nobody.1.999"])
        assert set(found) <= {wanted_id}
        usage = found.get(wanted_id, Usage(cpu_us=0, memory_bytes=0))
        return usage.cpu_us > 0 and usage.memory_bytes > 0

    await until(has_used, "processor time and memory are told")
    await engine.stop(wanted_id, signal="SIGKILL", grace_s=5)
    await ended(engine, wanted_id)
    assert await engine.usage([wanted_id]) == {}
