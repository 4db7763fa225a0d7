"""The world outside: a PBX with real spoken calls, which knows the system by its HTTP API only."""
