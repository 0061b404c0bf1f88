"""Omnisonic Studio: realtime rooms for musicians, on supervised actors."""

__version__ = "0.1.0"
