"""What stops a command: one sentence for the person who typed it."""


class CannotStart(Exception):
    """The system, or one of its parts, cannot run as asked; the text says why and what to do."""
