"""The realtime actors: rooms, the connections in them, and what keeps both alive (DESIGN 2 and 3)."""
