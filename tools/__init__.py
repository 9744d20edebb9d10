"""What a person or a model may ask: typed tools, tickets and the registry that lists them."""
