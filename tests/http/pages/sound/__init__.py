"""The page's sound engine, in a real browser and without a studio: what is heard is what the mixdown renders."""
