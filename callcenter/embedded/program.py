"""What both engines' programs share: `python -m callcenter.embedded.postgres DATA_DIR`."""

import sys
from collections.abc import Callable
from pathlib import Path

from callcenter.embedded.orphans import claim


def run(engine: str, serve: Callable[[Path], int]) -> int:
    """Serve the directory named on the command line, one engine at a time."""
    if len(sys.argv) != 2:
        sys.exit(f"usage: python -m callcenter.embedded.{engine} DATA_DIR")
    data_dir = Path(sys.argv[1]).resolve()
    claim(engine, data_dir)
    return serve(data_dir)
