"""A real Ollama server: put in place by `make ollama`, driven by the tests marked `ollama`."""
