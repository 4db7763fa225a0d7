"""Reads the journal on from where a reader left it: nothing is missed, whatever order commits
come in.

A move gets its number before its commit, so it can appear behind one that was read. A bookmark
therefore passes what was read only when it has been read again after the end of all transactions
that were under way the first time; the reader has to bear moves that it knows.
"""

from django.db import connection
from django.db.models import Max, Q

from calls.models import Bookmark, Move

TRANSACTIONS = """
SELECT pg_current_xact_id()::text::bigint, pg_snapshot_xmin(pg_current_snapshot())::text::bigint
"""


def take(reader: str) -> Bookmark | None:
    """The bookmark, locked for the transaction under way; None while somebody else has it."""
    Bookmark.objects.get_or_create(reader=reader)
    bookmarks = Bookmark.objects.select_for_update(skip_locked=True, no_key=True)
    return bookmarks.filter(reader=reader).first()


def read_on(bookmark: Bookmark, wanted: Q, *, limit: int) -> tuple[list[Move], bool]:
    """The next moves of a locked bookmark, at most `limit`, with their calls; whether to ask for
    more at once.
    """
    own, oldest = _transactions()
    # One of ours is younger than all that was read; a restored database counts them anew.
    bookmark.transaction = min(bookmark.transaction or own, own)
    settled = oldest >= bookmark.transaction
    newest = Move.objects.aggregate(newest=Max("pk"))["newest"] or 0
    unread = Move.objects.filter(wanted, pk__gt=bookmark.move).select_related("call")
    moves = list(unread.order_by("pk")[:limit])
    full = len(moves) == limit
    if settled:
        reached = moves[-1].pk if full else max(newest, bookmark.move)
        bookmark.move = min(bookmark.ahead, reached)
        bookmark.ahead, bookmark.transaction = reached, 0
    bookmark.save(update_fields=["move", "ahead", "transaction"])
    return moves, full and settled


def _transactions() -> tuple[int, int]:
    """The one under way here, and the oldest under way anywhere."""
    with connection.cursor() as cursor:
        cursor.execute(TRANSACTIONS)
        own, oldest = cursor.fetchone() or (0, 0)
    return own, oldest
