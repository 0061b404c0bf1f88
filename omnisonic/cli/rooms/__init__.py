"""`omnisonic rooms`: the room inspector."""
