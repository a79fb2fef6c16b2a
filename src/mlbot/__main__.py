"""`python -m mlbot` is `mlbot`."""

from mlbot.entry import main

if __name__ == "__main__":
    main()
