"""What serves routes, one adapter a module, one protocol (base.py)."""
