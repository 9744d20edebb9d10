"""The engine as a service: signals, bars, models and reports over HTTP, and a stream over a WebSocket."""

from engine.api.access import Authenticate, Permission
from engine.api.app import create_api
from engine.api.broadcaster import Broadcaster
from engine.api.settings import StreamSettings

__all__ = ["Authenticate", "Broadcaster", "Permission", "StreamSettings", "create_api"]
