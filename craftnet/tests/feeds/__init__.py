"""Tests of `craftnet.feeds`."""
