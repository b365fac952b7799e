"""Revoked tokens, and the closing of connections that were opened with them."""
