"""EC2: the networks that AWS's tools ask for before anything else, and the nodes as instances. Kept and checked, never enforced."""
