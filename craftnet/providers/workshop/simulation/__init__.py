"""The simulated crafting authority itself. Pure."""
