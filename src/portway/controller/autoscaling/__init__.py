"""Services that are scaled by what the balancer counts."""
