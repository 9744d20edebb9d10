"""A local exchange that speaks Binance's REST and WebSocket protocol, with faults on demand."""
