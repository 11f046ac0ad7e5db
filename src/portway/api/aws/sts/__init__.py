"""STS: who is calling, and credentials that end."""
