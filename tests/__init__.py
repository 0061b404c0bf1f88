"""The tests of Omnisonic Studio."""
