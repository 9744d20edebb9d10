"""The conversation: graph, chat models, memory, settings and the surfaces where people meet it."""
