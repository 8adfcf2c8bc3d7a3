"""The errors that a user can mend."""

from __future__ import annotations


class UserError(Exception):
    """Bad input or a run that cannot go on; the message says what would be right.

    The command line prints it as one line, without a traceback.
    """
