"""`requests` without what no answer here needs: 4 MB of memory less, a tenth of the import.

`charset_normalizer` guesses a text's encoding, and `simplejson` is taken where somebody has it:
`requests` does without both, and says so of the first in a warning. `idna` has a table of all
characters, for hosts that are not ASCII: `requests` imports it to have it under a second name, and
again where such a host comes. Import this before whatever else imports `requests`; where that has
been imported already, it is as it is.
"""

from __future__ import annotations

import sys
import warnings
from types import ModuleType

# As the import system has it: what is None cannot be imported.
_STAND_INS = {
    "chardet": None,
    "charset_normalizer": None,
    "simplejson": None,
    "idna": ModuleType("idna"),
}
_placed = {name: one for name, one in _STAND_INS.items() if name not in sys.modules}
sys.modules.update(_placed)  # type: ignore[arg-type]
try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import requests
finally:
    for _name in _placed:
        sys.modules.pop(_name, None)
        sys.modules.pop(f"requests.packages.{_name}", None)

__all__ = ["requests"]
