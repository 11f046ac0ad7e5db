"""Elastic Load Balancing version 2: load balancers, target groups, listeners and rules over controller/balancing."""
