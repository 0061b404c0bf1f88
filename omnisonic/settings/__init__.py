"""The settings: every variable, validated, with a sentence for each mistake (SPEC 2)."""
