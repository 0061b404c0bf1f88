"""The actors, each alone: with plain objects for links, and with clocks that the tests move."""
