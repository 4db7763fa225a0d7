"""For a shell, PostgreSQL's own programs and where the embedded one is:

    eval "$(.venv/bin/python -W ignore -m callcenter.embedded)"

Then `psql`, `pg_dump` and `pg_restore` of the right version need no further words.
"""

import shlex

from callcenter.embedded import socket_dir
from callcenter.embedded.postgres import BINARIES
from callcenter.settings import DATA_DIR

print(f"export PATH={shlex.quote(str(BINARIES))}:$PATH")
print(f"export PGHOST={shlex.quote(str(socket_dir(DATA_DIR)))}")
print("export PGUSER=postgres PGDATABASE=callcenter")
