"""The settings: every environment variable, validated, with a sentence for each mistake (SPEC 2)."""
