"""The HTTP service: the same copilot for programs, behind bearer tokens.

Nothing is imported here: tables and tokens are used without the service, by commands that must start at once.
"""
