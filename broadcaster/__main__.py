"""``python -m broadcaster``: the console script without an installation."""

from broadcaster.cli.main import main

if __name__ == "__main__":
    main()
