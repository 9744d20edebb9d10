"""Chat models behind LangChain's interface; the offline one is always there."""

from copilot.chat_models.offline import OfflineChatModel

__all__ = ["OfflineChatModel"]
