"""The program ``speechrec``, and ``python -m speechrec``."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C ends it with a line, even before its modules are there."""
    try:
        from speechrec.cli import main as run

        run()
    except KeyboardInterrupt:
        print("speechrec: stopped", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
