"""Analysis of media files with PyAV: format, duration, channels and waveform, in sandboxed processes of their own."""
