"""`python -m lensmith`."""

from lensmith.cli import main

if __name__ == "__main__":
    main()
