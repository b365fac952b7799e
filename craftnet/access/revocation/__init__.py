"""Revoked tokens: which they are, and how their connections are closed."""
