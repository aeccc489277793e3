"""``python -m ssl_bench``: the command line."""

from ssl_bench.cli import main

if __name__ == "__main__":
    main()
