"""The admin API: its answers, the messages of its feed, and the bodies of its actions."""
