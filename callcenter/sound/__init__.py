"""Sound as numbers: WAV files, G.711, sampling rates. Pure; knows nothing of calls."""
