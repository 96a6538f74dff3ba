"""`python -m causalrec`: the command, where its script is not on the path."""

import sys

from causalrec.cli import main

sys.exit(main())
