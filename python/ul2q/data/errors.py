"""The error that refuses bad input data."""


class DataError(ValueError):
    """Input data or an output folder that cannot be used; the message names the file or folder."""
