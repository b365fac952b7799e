"""Tests of `craftnet.observe`."""
