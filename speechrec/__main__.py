"""``python -m speechrec``."""

from speechrec.cli import main

if __name__ == "__main__":
    main()
