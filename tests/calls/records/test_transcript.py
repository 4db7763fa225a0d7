"""What a call's transcript looks like as a file."""

import pytest

from calls.models import Utterance
from calls.records import transcript

SAID = [
    Utterance(track="outbound", start=0.4, end=1.94, text="How can I help you?"),
    Utterance(track="inbound", start=2.3456, end=2.3456, text="Fish & <b>chips</b> --> \n now"),
    Utterance(track="inbound", start=3725.9996, end=3730.0, text="Bye."),
]

TEXT = """\
[00:00:00] Agent: How can I help you?
[00:00:02] Caller: Fish & <b>chips</b> --> now
[01:02:06] Caller: Bye.
"""

VTT = """\
WEBVTT

00:00:00.400 --> 00:00:01.940
<v Agent>How can I help you?

00:00:02.346 --> 00:00:03.346
<v Caller>Fish &amp; &lt;b&gt;chips&lt;/b&gt; --&gt; now

01:02:06.000 --> 01:02:10.000
<v Caller>Bye.
"""

SRT = """\
1
00:00:00,400 --> 00:00:01,940
Agent: How can I help you?

2
00:00:02,346 --> 00:00:03,346
Caller: Fish & <b>chips</b> → now

3
01:02:06,000 --> 01:02:10,000
Caller: Bye.
"""


@pytest.mark.parametrize(("form", "file"), [("text", TEXT), ("vtt", VTT), ("srt", SRT)])
def test_a_transcript_as_a_file(form: str, file: str) -> None:
    _, write = transcript.WRITERS[form]
    assert write(SAID) == file


@pytest.mark.parametrize(("form", "file"), [("text", ""), ("vtt", "WEBVTT\n"), ("srt", "")])
def test_where_nobody_spoke_the_file_is_empty(form: str, file: str) -> None:
    _, write = transcript.WRITERS[form]
    assert write([]) == file
