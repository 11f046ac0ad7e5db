"""Elastic Load Balancing of 2012, with classic load balancers, over controller/balancing."""
