"""Tests of `craftnet.runtime`."""
