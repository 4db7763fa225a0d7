"""The sound of an archived call, read from the storage a stretch at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from calls.ai.audio import Samples
from calls.models import Call, Recording
from calls.records import storage

HEADER, WIDTH = 44, 2  # bytes of a file's head, and of a sample: we wrote the files ourselves


@dataclass(frozen=True)
class StoredAudio:
    """All tracks side by side on one time line; equal tags, equal sound."""

    recordings: Sequence[Recording]
    _open: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def tracks(self) -> tuple[str, ...]:
        return tuple(recording.track for recording in self.recordings)

    @cached_property
    def rate(self) -> int:
        """Hertz."""
        return self.recordings[0].sample_rate if self.recordings else 0

    @cached_property
    def length(self) -> int:
        """Samples of the longest track."""
        return max((_length(recording) for recording in self.recordings), default=0)

    @cached_property
    def tag(self) -> str:
        return "-".join(recording.sha256[:32] for recording in self.recordings)

    def samples(self, first: int, last: int) -> Samples:
        """One row a sample from `first` up to `last`, which is excluded; one column a track.

        Raises `StorageFailed`.
        """
        sound = np.zeros((last - first, len(self.recordings)), np.int16)
        for column, recording in enumerate(self.recordings):
            part = self._read(recording, first, last)
            sound[: len(part), column] = part
        return sound

    def _read(self, recording: Recording, first: int, last: int) -> Samples:
        count = max(min(last, _length(recording)) - first, 0)
        if recording.name not in self._open:
            self._open[recording.name] = storage.open_file(recording.name)
        raw = storage.read_at(self._open[recording.name], HEADER + first * WIDTH, count * WIDTH)
        return np.frombuffer(raw, "<i2").astype(np.int16)

    def close(self) -> None:
        while self._open:
            self._open.popitem()[1].close()


def stored_audio(call: Call) -> StoredAudio:
    """Of an archived call, as its packets held it; without tracks where they held none."""
    return StoredAudio(list(call.recordings.audio()))


def _length(recording: Recording) -> int:
    return (recording.bytes - HEADER) // WIDTH
