"""Which settings the code reads, as its source says."""

import ast
from pathlib import Path

from django.conf import settings

# Read by OpenTelemetry itself; that we look at the first, too, is not seen in SOURCE.
TRACING = {"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"}
SOURCE = Path(settings.BASE_DIR) / "callcenter" / "settings.py"


def settings_read() -> set[str]:
    """Names of the variables; of secrets also with the ending `_FILE`."""
    names = set(TRACING)
    for node in ast.walk(ast.parse(SOURCE.read_text())):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        if node.func.id not in ("read", "secret"):
            continue
        name = str(ast.literal_eval(node.args[0]))
        names |= {name, f"{name}_FILE"} if node.func.id == "secret" else {name}
    return names


# What an operator of containers has no say in: fixed by the image or by what it runs in.
FIXED = {"DATA_DIR", "HOST", "PORT", "DEBUG"}
SECRETS = {name.removesuffix("_FILE") for name in settings_read() if name.endswith("_FILE")}
FOR_OPERATORS = settings_read() - FIXED - SECRETS
