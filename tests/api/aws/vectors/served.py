"""Which vectors need a balancer that really serves; test_served.py asks them."""

SERVED = {"ecs-105", "ecs-119", "ecs-124", "ecs-126"}
