"""Elastic Load Balancing as values: load balancers, target groups, their targets' health, and the Routes they mean. Pure."""
