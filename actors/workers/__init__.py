"""Several gateway processes behind one port: who owns a room, and what the processes say to each other (SPEC 2)."""
