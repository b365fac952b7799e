"""Tests of `craftnet.access`."""
