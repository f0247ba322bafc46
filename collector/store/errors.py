"""What reading the store can refuse. By itself, so that who only wants to catch it does not load pyarrow.

StoreError    stored rows that cannot be read as what they say they are (exit code 5)
"""

from __future__ import annotations


class StoreError(Exception):
    """Stored rows that cannot be read as what they say they are (exit code 5)."""
