"""Authentication and authorisation: bearer tokens and what they allow."""
