"""Log groups and streams, and the output of containers that goes there."""
