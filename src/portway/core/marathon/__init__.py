"""Marathon's own rules as functions of values: names, ports, variables, deployment plans. Knows no definition's syntax."""
