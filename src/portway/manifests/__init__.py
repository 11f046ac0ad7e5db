"""Text <-> App. Pure; may import a parser, never a file."""
