"""A recogniser in a process of its own: it may be killed at any moment, and hangs no event loop.

Reads one path of a WAV file a line, writes one transcription a line, both as JSON; ends with its
parent, whose end closes stdin.
"""

import json
import os
import sys
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

from callcenter.sound.wav import open_wav
from callcenter.speech.recognition import Recogniser


def main() -> None:
    asked: SimpleQueue[str] = SimpleQueue()
    Thread(target=_listen, args=(asked,), daemon=True).start()
    recogniser = Recogniser()
    while True:
        heard = recogniser.transcribe(open_wav(Path(json.loads(asked.get()))))
        print(json.dumps(heard.to_json()), flush=True)


def _listen(asked: "SimpleQueue[str]") -> None:
    """In a thread of its own, to notice the parent's end while a recognition is under way."""
    for line in sys.stdin:
        asked.put(line)
    os._exit(0)


if __name__ == "__main__":
    main()
