"""Who may work on a job: claimed with a lease and a token, held only while the lease is renewed."""

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from calls.models import Call, Job

LEASE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Claim:
    job: int
    call: int
    token: UUID


class LostClaim(Exception):
    """The lease ran out and somebody else may work on the job now: nothing may be stored."""


def claim_due(limit: int, *, worker: str, now: datetime) -> list[Claim]:
    """Takes up to `limit` due jobs that nobody holds."""
    with transaction.atomic():
        jobs = list(Job.objects.due(now=now).select_for_update(skip_locked=True)[:limit])
        claims = [Claim(job.pk, job.call_id, uuid.uuid4()) for job in jobs]
        for job, claim in zip(jobs, claims, strict=True):
            job.token, job.leased_until, job.holder = claim.token, now + LEASE, worker
        Job.objects.bulk_update(jobs, ["token", "leased_until", "holder"])
    return claims


def renew(claims: Collection[Claim], *, now: datetime) -> None:
    """Prolongs the leases that are still ours; a lost one shows when its work is to be stored."""
    tokens = [claim.token for claim in claims]
    Job.objects.filter(token__in=tokens).update(leased_until=now + LEASE)


def hold(claim: Claim) -> tuple[Call, Job]:
    """Locks the claimed job and its call in the caller's transaction. Raises `LostClaim`."""
    call = Call.objects.locked().filter(pk=claim.call).first()
    job = Job.objects.select_for_update().filter(pk=claim.job, token=claim.token).first()
    if call is None or job is None:
        raise LostClaim(f"job {claim.job} was taken away")
    return call, job
