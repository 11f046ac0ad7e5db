"""Load balancers at work: kept in the store, their targets checked, their Routes served, an App's instances among the targets."""
