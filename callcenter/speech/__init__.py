"""The speech service: an AI service of the OpenAI transcription shape, unreliable on purpose.

A process of its own (`manage.py speech`) that shares nothing with the rest but HTTP.
https://platform.openai.com/docs/api-reference/audio/createTranscription
"""
