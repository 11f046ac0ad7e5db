"""The Marathon face: REST API v2 over the same Apps as everything else."""
