"""Tests of `craftnet.operator`."""
