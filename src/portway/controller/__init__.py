"""The loop: observe, reconcile, save the decisions, act."""
