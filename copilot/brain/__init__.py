"""What thinks behind a conversation: the offline model alone, or a local language model with it beside."""
