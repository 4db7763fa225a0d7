"""What the documents tell people to type, to be run as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

from django.conf import settings

DOCS = Path(settings.BASE_DIR) / "docs"


def blocks(document: str, heading: str, language: str) -> list[str]:
    """The code of this language below a heading, up to the next of the same rank."""
    text = (DOCS / document).read_text()
    _, _, below = text.partition(f"\n## {heading}\n")
    section, _, _ = below.partition("\n## ")
    return re.findall(rf"^```{language}\n(.*?)^```", section, re.DOTALL | re.MULTILINE)


def run_shell(lines: str, **environment: str) -> str:
    """What the lines print; fails with the first that fails."""
    lines = lines.replace(".venv/bin/python", sys.executable)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", lines],
        cwd=settings.BASE_DIR,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, f"{lines}\n{done.stdout}\n{done.stderr}"
    return done.stdout
