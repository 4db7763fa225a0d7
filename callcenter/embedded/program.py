"""What both engines' programs share: `python -m callcenter.embedded.postgres DATA_DIR`."""

import sys
from collections.abc import Callable
from pathlib import Path

from callcenter import locks

# An engine that is just being stopped needs a moment to let go of its files.
PATIENCE = 15


def run(engine: str, serve: Callable[[Path], int]) -> int:
    """Serve the directory named on the command line, once at a time."""
    if len(sys.argv) != 2:
        sys.exit(f"usage: python -m callcenter.embedded.{engine} DATA_DIR")
    data_dir = Path(sys.argv[1]).resolve()
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if locks.take(data_dir / f"{engine}.lock", PATIENCE) is None:
        sys.exit(f"{engine} runs on {data_dir} already.")
    return serve(data_dir)
