"""`python -m mlbot` is `mlbot`."""

from mlbot.cli import main

if __name__ == "__main__":
    main()
