"""Files that the browser gets: the ticket card, styles, the strip that says what is simulated, and the logo."""
