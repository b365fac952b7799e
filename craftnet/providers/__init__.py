"""The back ends this project ships. Each is named by string in twisted/plugins/craftnet_backends.py."""
