"""Emptying the database after a test that committed, in a tenth of the time that `flush` takes.

`flush` empties every table and then makes all permissions and content types anew. Here the tables
that have rows are emptied, and those two are left as the migrations made them.
"""

from typing import Any

from django.db import connection

KEPT = {"django_migrations", "django_content_type", "auth_permission"}


def empty_tables(_: Any = None) -> None:
    names = [name for name in connection.introspection.table_names() if name not in KEPT]
    quoted = [connection.ops.quote_name(name) for name in names]
    asked = " UNION ALL ".join(
        f"SELECT {place} WHERE EXISTS (SELECT FROM {name})" for place, name in enumerate(quoted)
    )
    with connection.cursor() as cursor:
        cursor.execute(asked)
        filled = [quoted[place] for (place,) in cursor.fetchall()]
        if filled:
            cursor.execute(f"TRUNCATE {', '.join(filled)} CASCADE")
