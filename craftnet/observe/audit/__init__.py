"""Security events: which there are, who hears of them, and the audit log that keeps them."""
