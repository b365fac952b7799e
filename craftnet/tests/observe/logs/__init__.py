"""Tests of `craftnet.observe.logs`."""
