"""Speech: text to audio and audio to text.

Voices that are ONNX graphs run on the core, as any model does. Everything else (phonemes, whole
pipelines of ``transformers``, transcription) is heavy, may hang or crash, or has another licence,
and runs in child processes that are supervised here. The server imports no library for audio
before a request needs it.
"""
