"""Tests of `craftnet.observe.audit`."""
