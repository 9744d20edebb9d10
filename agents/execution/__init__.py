"""The only door to a venue: intents, the desk that sends and reconciles them, and the paper venue."""
