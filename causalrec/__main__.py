"""`python -m causalrec`: the command, where its script is not on the path."""

import os
import sys
from contextlib import suppress

with suppress(FileNotFoundError):  # of a working directory that is gone
    if not sys.flags.safe_path and sys.path[:1] in ([""], [os.getcwd()]):  # noqa: PTH109 - imports nothing more
        del sys.path[0]  # `-m` puts the working directory first; where PYTHONPATH names it too, it comes again

from causalrec.cli import program

sys.exit(program())
