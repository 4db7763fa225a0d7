"""Answers other than a transcription, in the shape of OpenAI's errors."""

from collections.abc import Mapping
from typing import Any


class Refusal(Exception):
    """`message` is for the person whose request it was; `param` names the field at fault."""

    def __init__(
        self,
        status: int,
        message: str,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param = status, message, param
        self.headers = headers or {}

    def to_json(self) -> dict[str, Any]:
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        if self.status == 429:
            kind = "rate_limit_error"
        error = {"message": self.message, "type": kind, "param": self.param, "code": None}
        return {"error": error}


def busy(seconds: int) -> Refusal:
    words = "The queue is full. Please wait as long as Retry-After says and send it again."
    return Refusal(429, words, headers={"Retry-After": str(seconds)})


def overloaded() -> Refusal:
    return Refusal(503, "The service is overloaded or not ready yet. Please try again.")
