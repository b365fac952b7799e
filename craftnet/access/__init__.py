"""Authentication and authorisation: bearer tokens and the rights that they give."""
