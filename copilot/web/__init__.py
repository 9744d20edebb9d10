"""The web page: a Chainlit surface of the copilot, and the gate in front of it."""
