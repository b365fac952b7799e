"""How long crafts really take, learned from those that have ended: beside what the authority estimates."""
