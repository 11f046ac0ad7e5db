"""Telemetry: what is counted, logged and kept of the traffic served."""
