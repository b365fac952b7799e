"""How many connections and requests, how often, and from where."""
