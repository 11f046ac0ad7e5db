"""Amazon ECS: clusters, task definitions, services and tasks, each operation one function."""
