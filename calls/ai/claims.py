"""Who may work on a job: claimed with a lease and a token, held only while the lease is renewed."""

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from calls.models import Call, Job, bulk
from calls.models.job import Priority

LEASE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Claim:
    job: int
    call: int
    token: UUID
    priority: int = Priority.FRESH


Held = Mapping[Claim, tuple[Call, Job]]


class LostClaim(Exception):
    """The lease ran out and somebody else may work on the job now: nothing may be stored."""

    def __init__(self, claim: Claim) -> None:
        super().__init__(f"job {claim.job} was taken away")


def claim_due(limit: int, *, worker: str, now: datetime, kept_for_others: int = 0) -> list[Claim]:
    """Takes up to `limit` due jobs that nobody holds, calls just ended before the rest.

    So many places are `kept_for_others`, as long as there are any.
    """
    due = Job.objects.due(now=now).select_for_update(skip_locked=True)
    with transaction.atomic():
        others = list(due.filter(priority=Priority.AGAIN)[:kept_for_others])
        taken = [job.pk for job in others]
        jobs = others + list(due.exclude(pk__in=taken)[: limit - len(others)])
        claims = [Claim(job.pk, job.call_id, uuid.uuid4(), job.priority) for job in jobs]
        for job, claim in zip(jobs, claims, strict=True):
            job.token, job.leased_until, job.holder = claim.token, now + LEASE, worker
        bulk.update(jobs, ["token", "leased_until", "holder"])
    return claims


def renew(claims: Collection[Claim], *, now: datetime) -> None:
    """Prolongs the leases that are still ours; a lost one shows when its work is to be stored."""
    tokens = [claim.token for claim in claims]
    Job.objects.filter(token__in=tokens).update(leased_until=now + LEASE)


def hold_all(claims: Collection[Claim]) -> Held:
    """Locks claimed jobs and their calls in the caller's transaction; lost ones are left out."""
    calls = Call.objects.locked().in_bulk([claim.call for claim in claims])
    locked = Job.objects.select_for_update().order_by("pk")
    jobs = locked.in_bulk([claim.job for claim in claims])
    return {
        claim: (calls[claim.call], jobs[claim.job])
        for claim in claims
        if claim.call in calls and claim.job in jobs and jobs[claim.job].token == claim.token
    }


def hold(claim: Claim) -> tuple[Call, Job]:
    """The same for one. Raises `LostClaim`."""
    held = hold_all([claim])
    if not held:
        raise LostClaim(claim)
    return held[claim]
