"""The memory back end: everything in this process, bounded, gone when it ends."""
