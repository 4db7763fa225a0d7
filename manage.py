#!/usr/bin/env python
import os
import sys

from django.core.management import execute_from_command_line
from django.db import OperationalError

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "callcenter.settings")
    try:
        execute_from_command_line(sys.argv)
    except KeyboardInterrupt:
        sys.exit(130)
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None):
            raise
        sys.exit(
            f"The database does not answer: {str(error).strip()}\n"
            "Start the system with `make run`, or set DATABASE_URL."
        )
