"""How far a reader of the journal has come."""

from django.db import models


class Bookmark(models.Model):
    reader = models.CharField(max_length=50, primary_key=True)
    move = models.PositiveBigIntegerField(default=0, help_text="All moves up to it were read.")
    ahead = models.PositiveBigIntegerField(
        default=0, help_text="Read up to here, past moves that may not have been committed yet."
    )
    transaction = models.PositiveBigIntegerField(
        default=0, help_text="When all before it are over, nothing up to `ahead` is to come."
    )

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.reader} at move {self.move}"
