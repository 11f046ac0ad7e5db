"""ProcessEngine: runs commands as plain processes of this machine, without containers."""

from portway.engines.process.engine import ProcessEngine

__all__ = ["ProcessEngine"]
