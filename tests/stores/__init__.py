"""The presence store and the bus: one contract, and each adapter's own faults."""
