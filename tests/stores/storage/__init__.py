"""Storage: one contract on each adapter, and each one's own ways to fail."""
