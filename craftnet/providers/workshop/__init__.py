"""The workshop: a simulated crafting authority for demonstrations and load."""
