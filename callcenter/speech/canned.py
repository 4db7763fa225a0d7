"""An answer without recognition, for load tests; it says so itself."""

from callcenter.speech.transcription import Transcription, Utterance, Word

SENTENCE = "this is a canned answer and nobody listened to the call"
PACE = 0.3  # seconds a word


def transcribe(duration: float) -> Transcription:
    """The same sentence for any audio of `duration` seconds; nothing for none."""
    words = SENTENCE.split() if duration > 0 else []
    pace = min(PACE, duration / max(len(words), 1))
    heard = tuple(
        Word(word, round(n * pace, 3), round((n + 1) * pace, 3), 1.0)
        for n, word in enumerate(words)
    )
    utterances = (Utterance(0.0, heard[-1].end, heard),) if heard else ()
    return Transcription(duration, utterances)
