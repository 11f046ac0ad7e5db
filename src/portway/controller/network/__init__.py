"""The network AWS's tools believe in, on this machine: addresses and names of load balancers, and what groups and ACLs say."""
