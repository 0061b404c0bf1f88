"""Listening to files (PyAV): how long, how many channels, the waveform. In processes of their own, under limits."""
