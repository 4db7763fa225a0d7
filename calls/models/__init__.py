"""The tables, one concept a file."""

from calls.models.access import ApiKey
from calls.models.call import Call, Move
from calls.models.heartbeat import Heartbeat
from calls.models.job import Attempt, Job
from calls.models.packet import Packet
from calls.models.result import Result, Utterance
from calls.models.service import AiService

__all__ = [
    "AiService",
    "ApiKey",
    "Attempt",
    "Call",
    "Heartbeat",
    "Job",
    "Move",
    "Packet",
    "Result",
    "Utterance",
]
