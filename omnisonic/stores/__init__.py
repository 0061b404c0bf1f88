"""State that processes share: database, presence, bus, guard, object storage."""
