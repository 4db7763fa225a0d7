"""From one sampling rate to another, by windowed sinc."""

from functools import lru_cache
from math import ceil, gcd

import numpy as np
from numpy.typing import NDArray

from callcenter.sound.g711 import Samples

Floats = NDArray[np.float64]

HALF_WIDTH = 32  # zero crossings of the sinc on either side
PASSED = 0.92  # share of the narrower band that passes; the rest is the filter's slope
WINDOW = 8.0  # Kaiser's beta: about 80 dB of attenuation
BLOCK = 8_192  # samples made at once, so that memory stays bounded


def resample(samples: Samples, source: int, target: int) -> Samples:
    """The same sound at `target` instead of `source` hertz, without aliases or images."""
    if source == target or not len(samples):
        return samples
    common = gcd(source, target)
    up, down = target // common, source // common
    kernels = _kernels(up, down)
    half = kernels.shape[1] // 2
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(samples.astype(np.float64), half), kernels.shape[1]
    )
    length = len(samples) * up // down
    blocks = [
        _block(windows, kernels, np.arange(at, min(at + BLOCK, length)), up, down)
        for at in range(0, length, BLOCK)
    ]
    return np.concatenate(blocks) if blocks else samples[:0]


def _block(windows: Floats, kernels: Floats, made: NDArray[np.int_], up: int, down: int) -> Samples:
    """The output samples with the numbers `made`."""
    at, phase = np.divmod(made * down, up)
    sums = np.einsum("nk,nk->n", windows[at], kernels[phase])
    made_samples: Samples = np.clip(np.rint(sums), -32_768, 32_767).astype(np.int16)
    return made_samples


@lru_cache(maxsize=8)
def _kernels(up: int, down: int) -> Floats:
    """One row of filter taps for each of the `up` places between two input samples."""
    band = PASSED * min(1.0, up / down)
    half = ceil(HALF_WIDTH / band)
    taps = np.arange(-half, half + 1)[None, :] - np.arange(up)[:, None] / up
    window = np.i0(WINDOW * np.sqrt(np.clip(1 - (taps / (half + 1)) ** 2, 0, 1))) / np.i0(WINDOW)
    kernels: Floats = np.sinc(band * taps) * window
    kernels /= kernels.sum(axis=1, keepdims=True)
    return kernels
