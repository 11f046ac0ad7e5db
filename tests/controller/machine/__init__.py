"""Tests of portway.controller.machine."""
