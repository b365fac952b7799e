"""The domain: the progress model, the states, and the rules by which events change them. Pure."""
