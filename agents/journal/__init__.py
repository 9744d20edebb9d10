"""The journal of decisions: why an agent did what it did, from records alone."""
