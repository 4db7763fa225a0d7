"""G.711, the sound of telephones: eight bits a sample. ITU-T recommendation G.711."""

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]

BIAS = 132  # of µ-law, in 16-bit steps


def from_ulaw(raw: bytes) -> Samples:
    return _ULAW[np.frombuffer(raw, np.uint8)]


def from_alaw(raw: bytes) -> Samples:
    return _ALAW[np.frombuffer(raw, np.uint8)]


def to_ulaw(samples: Samples) -> bytes:
    """One byte a sample."""
    signed = samples.astype(np.int32)
    size = np.minimum(np.abs(signed), 32_635) + BIAS
    # The place of the highest bit, and the four bits behind it.
    exponent = np.frexp(size)[1] - 8
    mantissa = (size >> (exponent + 3)) & 0x0F
    sign = np.where(signed < 0, 0x80, 0)
    codes = 0xFF - (sign | (exponent << 4) | mantissa)
    return bytes(codes.astype(np.uint8))


def _ulaw_table() -> Samples:
    code = 0xFF - np.arange(256)
    size = (((code & 0x0F) << 3) + BIAS << (code >> 4 & 7)) - BIAS
    return np.where(code & 0x80, -size, size).astype(np.int16)


def _alaw_table() -> Samples:
    code = np.arange(256) ^ 0x55
    exponent, mantissa = code >> 4 & 7, (code & 0x0F) << 4
    size = np.where(exponent, mantissa + 0x108 << np.maximum(exponent - 1, 0), mantissa + 8)
    return np.where(code & 0x80, size, -size).astype(np.int16)


_ULAW, _ALAW = _ulaw_table(), _alaw_table()
