"""Parse JSON of any origin."""

from __future__ import annotations

import json
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """What a JSON text holds.

    Raises:
        ValueError: it is none, or stands too deep within itself to be read.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("lists or objects stand too deep within each other") from error
