"""The commands of `trading-copilot`, by what they are for; `copilot/cli.py` puts them together."""
