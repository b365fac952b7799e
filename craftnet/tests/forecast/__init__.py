"""Tests of `craftnet.forecast`."""
