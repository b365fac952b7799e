"""Tests of `craftnet.operator.analysis`."""
