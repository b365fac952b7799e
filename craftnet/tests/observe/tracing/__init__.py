"""Tests of `craftnet.observe.tracing`."""
