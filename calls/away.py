"""What the database answers while it is away, or takes no writes for now: nobody's fault here."""

from typing import Final

from django.db import InterfaceError, InternalError, OperationalError

# A primary that was demoted says InternalError.
AWAY: Final = (InterfaceError, InternalError, OperationalError)
