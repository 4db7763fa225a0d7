"""The ASGI extension of a server that hands over frames in the call that reads them.

Its value takes the function that is to be called with each frame, bytes or text; frames that came
before, and unusual ones, still come as messages.
"""

FRAMES = "callcenter.frames"
