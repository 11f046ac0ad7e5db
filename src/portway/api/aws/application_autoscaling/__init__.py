"""Application Auto Scaling: services that follow the number of requests for each of their tasks."""
