"""Labels, honest validation, the two models, the market's phase, and the signal that combines them."""
