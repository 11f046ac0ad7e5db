"""Health: asks running instances how they are."""
