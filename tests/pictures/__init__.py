"""The documents' pictures, made by `bin/pictures`: a studio of its own, a band of three, and their song."""
