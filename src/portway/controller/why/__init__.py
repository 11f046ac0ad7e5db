"""Why: facts about one address, instance or URL, gathered when asked. They change nothing."""
