"""The network AWS's tools believe in: security groups, network ACLs, addresses and names. Checked, never enforced. Pure."""
