"""What runs instances, one adapter a module, one protocol (base.py)."""
