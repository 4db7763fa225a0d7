"""How loud a recording is over its time, to be drawn."""

import numpy as np

from calls.records.recording import Sound

COLUMNS = 1000  # at most
AT_ONCE = 1 << 18  # samples a track
FULL_SCALE = 32768


def peaks(sound: Sound) -> dict[str, list[int]]:
    """The loudest sample of each of up to `COLUMNS` equal stretches, 0 to 100, by track."""
    count = min(COLUMNS, sound.length)
    edges = np.linspace(0, sound.length, count + 1).astype(np.int64)
    step = max(AT_ONCE * count // max(sound.length, 1), 1)
    found = [_peaks(sound, edges[n : n + step + 1]) for n in range(0, count, step)]
    columns = np.concatenate(found) if found else np.zeros((0, len(sound.tracks)), np.int64)
    return {track: columns[:, n].tolist() for n, track in enumerate(sound.tracks)}


def _peaks(sound: Sound, edges: "np.typing.NDArray[np.int64]") -> "np.typing.NDArray[np.int64]":
    loudness = np.abs(sound.samples(int(edges[0]), int(edges[-1])).astype(np.int64))
    loudest = np.maximum.reduceat(loudness, edges[:-1] - edges[0], axis=0)
    return -(-100 * loudest // FULL_SCALE)
