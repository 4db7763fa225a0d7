"""When each worker last did something; written from inside its cluster."""

from datetime import datetime

from django.db import models


class Heartbeat(models.Model):
    worker = models.CharField(max_length=200, primary_key=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return self.worker

    @classmethod
    def beat(cls, worker: str, *, now: datetime) -> None:
        cls.objects.update_or_create(worker=worker, defaults={"at": now})
