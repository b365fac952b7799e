"""Tests of craftnet.admin."""
