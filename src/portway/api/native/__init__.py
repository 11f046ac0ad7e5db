"""The native API: everything the CLI can do."""
