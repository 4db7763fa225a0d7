"""Audio as PBXs send it, and the same audio in the media format of its call."""

import base64
from array import array
from dataclasses import dataclass
from functools import cache

import numpy as np

from calls.ai.audio import Samples, decode
from calls.states import Encoding

WIDTH = {Encoding.MULAW: 1, Encoding.ALAW: 1, Encoding.L16: 2}  # bytes a sample


@dataclass(frozen=True, slots=True)
class Media:
    """A format on the wire; `swapped` where 16-bit samples come with the low byte first."""

    encoding: Encoding
    rate: int
    swapped: bool = False

    @property
    def bytes_per_second(self) -> int:
        return self.rate * WIDTH[self.encoding]


TELEPHONE = Media(Encoding.MULAW, 8000)


def converted(raw: bytes, came: Media, wanted: Media) -> bytes:
    """Audio in another format; between both kinds of G.711, and in the same format, code by code.

    Rates are matched by repeating or dropping samples in between: a rarity that is heard, not one
    that anybody should choose.
    """
    if came.swapped:
        raw = _low_byte_last(raw)
    if (came.encoding, came.rate) == (wanted.encoding, wanted.rate):
        return raw
    if came.rate == wanted.rate and Encoding.L16 not in (came.encoding, wanted.encoding):
        return raw.translate(_codes(came.encoding, wanted.encoding))
    samples = decode(base64.b64encode(raw).decode(), encoding=came.encoding)
    if samples is None:
        return b""
    return _encoded(_at_rate(samples, came.rate, wanted.rate), wanted.encoding)


def _low_byte_last(raw: bytes) -> bytes:
    samples = array("h", raw[: len(raw) // 2 * 2])
    samples.byteswap()
    return samples.tobytes()


def _at_rate(samples: Samples, came: int, wanted: int) -> Samples:
    count = round(len(samples) * wanted / came)
    places = np.arange(count) * (came / wanted)
    matched: Samples = np.interp(places, np.arange(len(samples)), samples).astype(np.int16)
    return matched


def _encoded(samples: Samples, encoding: Encoding) -> bytes:
    if encoding == Encoding.L16:
        return samples.astype(">i2").tobytes()
    values, codes = _nearest(encoding)
    edges = (values[1:] + values[:-1]) // 2
    return codes[np.searchsorted(edges, samples)].tobytes()


@cache
def _codes(came: Encoding, wanted: Encoding) -> bytes:
    """For each of the 256 codes of one kind of G.711 the nearest one of the other."""
    every = base64.b64encode(bytes(range(256))).decode()
    samples = decode(every, encoding=came)
    assert samples is not None
    return _encoded(samples, wanted)


@cache
def _nearest(encoding: Encoding) -> tuple[Samples, Samples]:
    """The values of the codes of G.711 in rising order, and their codes."""
    every = base64.b64encode(bytes(range(256))).decode()
    samples = decode(every, encoding=encoding)
    assert samples is not None
    order = np.argsort(samples, kind="stable")
    return samples[order].astype(np.int32), order.astype(np.uint8)
