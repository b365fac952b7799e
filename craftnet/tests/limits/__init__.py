"""Tests of `craftnet.limits`."""
