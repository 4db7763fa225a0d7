"""Finished recordings sent as calls, through the same API as a PBX's packets."""
