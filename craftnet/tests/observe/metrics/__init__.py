"""Tests of `craftnet.observe.metrics`."""
