"""Shared by several tests. No test imports another test."""
