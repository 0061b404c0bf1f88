"""The REST resources, one file each, with what they take beside it."""
