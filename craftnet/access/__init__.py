"""Who may do what: bearer tokens and what they allow."""
