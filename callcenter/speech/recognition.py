"""From a WAV file to words, by pocketsphinx and the English model that its wheel carries."""

from collections.abc import Iterator
from typing import Any

from pocketsphinx import Decoder

from callcenter.sound.g711 import Samples
from callcenter.sound.resampling import resample
from callcenter.sound.wav import Wav
from callcenter.speech.pitch import pitch
from callcenter.speech.transcription import Transcription, Utterance, Word
from callcenter.speech.voice_activity import Stretch, stretches

RATE = 16_000  # hertz; what the model was trained on, and it fails on a narrower spectrum
FRAMES = 100  # of the decoder, a second
HIGH_VOICE = 150.0  # hertz
WARPS = {False: "1.0", True: "1.4"}


class Recogniser:
    def __init__(self) -> None:
        self._decoder: Any = Decoder(
            loglevel="FATAL",
            # A second pass over the words costs a third more and found no more of them.
            fwdflat=False,
            # Bounds on what noise can cost; speech hardly meets them.
            maxhmmpf=10_000,
            maxwpf=20,
            warp_type="inverse_linear",
        )
        # After the start, for the model's own parameters overrule the constructor's: noise
        # removal drowns the consonants of telephone speech.
        self._decoder.config["remove_noise"] = False
        self._warp("1.0")

    def transcribe(self, wav: Wav) -> Transcription:
        """Utterances in order of time; none where nobody speaks."""
        return Transcription(wav.seconds, tuple(self._utterances(wav)))

    def _utterances(self, wav: Wav) -> Iterator[Utterance]:
        for stretch in stretches(wav):
            samples = wav.mono(round(stretch.start * wav.rate), round(stretch.end * wav.rate))
            words = tuple(self._words(resample(samples, wav.rate, RATE), stretch))
            if words:
                yield Utterance(round(stretch.start, 3), round(stretch.end, 3), words)

    def _words(self, samples: Samples, stretch: Stretch) -> Iterator[Word]:
        self._warp(WARPS[(pitch(samples, RATE) or 0.0) > HIGH_VOICE])
        self._decoder.start_utt()
        self._decoder.process_raw(samples.tobytes(), full_utt=True)
        self._decoder.end_utt()
        for heard in self._decoder.seg() or ():
            # <s>, <sil>, [NOISE]: what is not a word is in brackets.
            if heard.word[0] not in "<[+":
                yield _word(heard, stretch)

    def _warp(self, factor: str) -> None:
        """Fit the filters to the length of the speaker's vocal tract, told by the pitch.

        A short one puts more of the speech above the 4 kHz that a telephone carries. See Faria
        and Gelbart, "Efficient pitch-based estimation of VTLN warp factors", 2005.
        """
        self._decoder.config["warp_params"] = factor
        self._decoder.reinit_feat()


def _word(heard: Any, stretch: Stretch) -> Word:
    return Word(
        text=_spelling(heard.word),
        start=round(min(stretch.start + heard.start_frame / FRAMES, stretch.end), 3),
        end=round(min(stretch.start + (heard.end_frame + 1) / FRAMES, stretch.end), 3),
        probability=min(max(float(heard.prob), 0.0), 1.0),
    )


def _spelling(word: str) -> str:
    """The dictionary numbers pronunciations, as in `can(2)`, and knows no capitals."""
    word = word.partition("(")[0]
    return word.capitalize() if word.partition("'")[0] == "i" else word
