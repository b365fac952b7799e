"""Tests of `craftnet.access.revocation`."""
