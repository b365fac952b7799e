"""The devices of a player: which are connected, and what each has seen and dismissed."""
