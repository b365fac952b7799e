"""The memory back end: all state in this process, bounded, lost when the process ends."""
