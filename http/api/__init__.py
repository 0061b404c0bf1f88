"""The REST resources, one file each, with the inputs of their routes."""
