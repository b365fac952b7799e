"""Tests of `craftnet.observe.health`."""
