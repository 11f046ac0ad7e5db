"""Whatever is read from outside, fed by libFuzzer, which keeps what reaches new code: `python -m tests.fuzz` (`make fuzz-guided`)."""
