"""`python -m portway.cli`: the command line without an installed script. Nothing else."""

from __future__ import annotations

import sys

from portway.cli.main import main

sys.exit(main())
