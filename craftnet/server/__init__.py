"""The server process: settings, composition, workers, signals, start-up message."""
