"""Tests of `craftnet.contract`."""
