"""Recording over the song: its pure parts in Node, and all of it in a real browser with a microphone that beeps."""
