"""The actors, each alone: with plain objects for connections, and with clocks that the tests move."""
