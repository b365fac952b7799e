"""The devices of a player: which are there, and what each has seen and dismissed."""
