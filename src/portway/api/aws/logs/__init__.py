"""CloudWatch Logs: what containers with the log driver awslogs write, and what anybody else puts there."""
