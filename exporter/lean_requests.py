"""`requests` without what guesses a text's encoding, which no answer here needs.

`charset_normalizer` is 3 MB of memory and a tenth of the import. `requests` does without where it
is not to be had, and says so in a warning. Import this before whatever else imports `requests`;
where that has been imported already, it is as it is.
"""

from __future__ import annotations

import sys
import warnings

_GUESSERS = ("chardet", "charset_normalizer")

_kept_out = [name for name in _GUESSERS if name not in sys.modules]
# As the import system has it: what is None there cannot be imported.
sys.modules.update(dict.fromkeys(_kept_out))  # type: ignore[arg-type]
try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import requests
finally:
    for _name in _kept_out:
        sys.modules.pop(_name, None)

__all__ = ["requests"]
