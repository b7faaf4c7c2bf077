"""`python -m rapidz` is the command `rapidz`."""

import sys

from rapidz.cli import main

if __name__ == "__main__":
    sys.exit(main())
