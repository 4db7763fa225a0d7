"""The tables, one concept a file."""

from calls.models.access import ApiKey
from calls.models.alert import Alert, Phrase
from calls.models.audit import Audit
from calls.models.bookmark import Bookmark
from calls.models.call import Call, Move
from calls.models.heartbeat import Heartbeat
from calls.models.job import Attempt, Job
from calls.models.lease import Lease
from calls.models.packet import Duplicate, Packet
from calls.models.recording import Deletion, Recording, StrayFile
from calls.models.result import Result, Utterance
from calls.models.saved_view import SavedView
from calls.models.service import AiService
from calls.models.stream import Stream

__all__ = [
    "AiService",
    "Alert",
    "ApiKey",
    "Attempt",
    "Audit",
    "Bookmark",
    "Call",
    "Deletion",
    "Duplicate",
    "Heartbeat",
    "Job",
    "Lease",
    "Move",
    "Packet",
    "Phrase",
    "Recording",
    "Result",
    "SavedView",
    "StrayFile",
    "Stream",
    "Utterance",
]
