"""The tagging API: objects of every service by their tags."""
