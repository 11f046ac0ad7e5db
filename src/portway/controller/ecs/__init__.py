"""Writes down what ECS remembers and the planner does not: the events of services and tasks that have stopped."""
