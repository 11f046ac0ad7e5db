"""Tests of portway.manifests."""
