"""The story in verbs. A flow takes values, ports and the time, and leaves facts, events and owed notices."""
