"""`portway server` where the clock is wrong: python skewed_server.py SECONDS [flags]. Holds no test."""

from __future__ import annotations

import os
import sys
import time

_SKEW_S = int(sys.argv.pop(1))
_time, _time_ns = time.time, time.time_ns
time.time = lambda: _time() + _SKEW_S
time.time_ns = lambda: _time_ns() + _SKEW_S * 1_000_000_000

if __name__ == "__main__":
    from portway.cli.main import main

    sys.argv[1:] = ["--home", os.environ["PORTWAY_HOME"], "server", *sys.argv[1:]]
    main()
