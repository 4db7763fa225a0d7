"""How high a voice is."""

import numpy as np

from callcenter.sound.g711 import Samples

FRAME = 0.04  # seconds
LOWEST, HIGHEST = 70.0, 320.0  # hertz
PERIODIC = 0.4  # autocorrelation above which a frame is voiced


def pitch(samples: Samples, rate: int) -> float | None:
    """The median pitch in hertz of what is voiced; None when nothing is."""
    length = int(FRAME * rate)
    frames = samples[: len(samples) // length * length].reshape(-1, length).astype(np.float64)
    if not len(frames):
        return None
    frames -= frames.mean(axis=1, keepdims=True)
    energy = np.square(frames).sum(axis=1)
    frames = frames[(energy >= np.median(energy)) & (energy > 0)]
    shortest, longest = int(rate / HIGHEST), int(rate / LOWEST)
    spectrum = np.abs(np.fft.rfft(frames, 2 * length)) ** 2
    likeness = np.fft.irfft(spectrum)[:, : longest + 1]
    likeness = likeness[:, shortest:] / likeness[:, :1]
    periods = shortest + likeness.argmax(axis=1)[likeness.max(axis=1) > PERIODIC]
    return float(np.median(rate / periods)) if len(periods) else None
