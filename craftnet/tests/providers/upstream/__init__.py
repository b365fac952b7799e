"""Tests of the back end of an edge."""
