"""The doors of real PBXs, `/pbx/…`.

Plain ASGI, without a thread or a queue a frame. The upgrade is answered or refused at once, for a
PBX keeps its caller waiting meanwhile; a socket that was let in is never closed for our trouble.
"""
