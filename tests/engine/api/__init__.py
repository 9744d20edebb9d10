"""The service: HTTP, the stream, and who may read them."""
