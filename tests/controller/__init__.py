"""Tests of portway.controller."""
