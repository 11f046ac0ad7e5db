"""portway gets traffic to containers without anyone thinking about ports."""

__version__ = "0.1.0"
