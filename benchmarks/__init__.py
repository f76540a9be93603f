"""What the system costs beside its provider: one command measures a whole private system and the bare provider."""
