"""What the database makes of words, to find them fast; a migration makes the parts of it."""

from typing import Final

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.search import SearchVector
from django.db.models import Func, TextField
from django.db.models.functions import Left

# English stems, no stop words: whatever was said can be found.
SPEECH: Final = "calls_speech"
# More is not searched: a vector of over 1 MiB is refused, and with it the outcome.
SEARCHED: Final = 150_000  # characters


class Trigrams(Func):
    """All runs of three characters in lower case: what holds a word holds its trigrams."""

    function = "calls_trigrams"
    arity = 1
    output_field = ArrayField(TextField())


def speech_vector(field: str) -> SearchVector:
    return SearchVector(Left(field, SEARCHED), config=SPEECH)
