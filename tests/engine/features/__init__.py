"""Features: every one through the shared check, and the machine that runs them."""
