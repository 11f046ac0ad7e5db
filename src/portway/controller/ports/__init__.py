"""Ports: which are free on this machine, who has them, which are leased to whom."""
