"""`python -m minicnn` does the same as the command `minicnn`."""

import sys

from minicnn.commands import main

if __name__ == "__main__":
    sys.exit(main())
