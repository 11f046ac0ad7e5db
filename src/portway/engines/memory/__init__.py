"""MemoryEngine: a whole engine in memory, for demos, simulation and API tests. Must never sleep, roll dice or do I/O."""

from portway.engines.memory.engine import MemoryEngine
from portway.engines.memory.world import Fault, FaultKind, ImageBehaviour, MemoryWorld

__all__ = ["Fault", "FaultKind", "ImageBehaviour", "MemoryEngine", "MemoryWorld"]
