"""Lets ``python -m CorticalBoneMappingLib.cli`` be the command ``cbm``."""

import sys

from . import main

if __name__ == "__main__":
    sys.exit(main())
