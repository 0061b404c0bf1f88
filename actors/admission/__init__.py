"""Who may enter a room, whose right is still being checked, and whose access is revoked."""
