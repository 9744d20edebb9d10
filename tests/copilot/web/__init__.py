"""The page: its gate, its sign-in, the ticket card, and the page in a real browser."""
