"""Work that one at a time does in the whole system."""

import uuid
from datetime import datetime, timedelta
from uuid import UUID

from django.db import models

LENGTH = timedelta(minutes=2)


class Lease(models.Model):
    """Held until its time runs out, unless renewed: who dies over the work loses it.

    A session's advisory lock would stay with a pooler's connection, which others are lent.
    """

    work = models.CharField(max_length=50, primary_key=True)
    token = models.UUIDField()
    until = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.work

    @classmethod
    def take(cls, work: str, *, now: datetime) -> UUID | None:
        """The token of a lease of `LENGTH`; None while somebody else has it."""
        token = uuid.uuid4()
        _, made = cls.objects.get_or_create(
            work=work, defaults={"token": token, "until": now + LENGTH}
        )
        free = cls.objects.filter(work=work, until__lte=now)
        return token if made or free.update(token=token, until=now + LENGTH) else None

    @classmethod
    def renew(cls, token: UUID, *, now: datetime) -> bool:
        """Whether it was still ours."""
        return bool(cls.objects.filter(token=token).update(until=now + LENGTH))

    @classmethod
    def give_back(cls, token: UUID) -> None:
        cls.objects.filter(token=token).delete()
