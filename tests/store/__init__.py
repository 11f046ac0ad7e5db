"""Tests of portway.store."""
