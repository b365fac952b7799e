"""A watch and what it is made of, whatever transport it uses."""
