"""How Apps and instances look as ECS services and tasks: words, views and events, derived from values alone."""
