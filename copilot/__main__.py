"""`python -m copilot` is `trading-copilot`, for places where the script is not on the path."""

from copilot.cli import main

if __name__ == "__main__":
    main()
