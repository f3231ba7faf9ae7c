"""Which names stand for a secret: keys of JSON, of a form, of attributes; no I/O.

A name is compared without regard to case and to everything that is neither letter nor digit:
``X-Api-Key``, ``api_key``, ``apiKey`` and ``api key`` are ``apikey``. Digits at its end do not
count. In a list ``*`` stands for any text, also none.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

DEFAULT_KEYS = (
    # Passwords, wherever the word stands.
    *("*password*", "*passwort*", "*passwd*", "*passphrase*", "*passcode*"),
    *("*pwd", "pass", "*dbpass", "*userpass", "*smtppass", "*mailpass", "pw", "pin", "cardpin"),
    # Secrets and keys: `*key` alone would take cache keys and primary keys with it.
    *("*secret*", "*credential*", "*apikey", "*apikeys", "*accesskey*", "*privatekey*"),
    *("*secretkey*", "*signingkey", "*encryptionkey", "*decryptionkey", "*masterkey"),
    *("*sharedkey", "*accountkey", "*subscriptionkey", "*licensekey", "*authkey", "*sshkey"),
    *("*hmackey", "*sessionkey"),
    # Tokens, where the token is what is named last: `tokenCount` and `max_tokens` are none.
    *("*token", "*tokenvalue", "*tokenhash", "*accesstokens", "*refreshtokens", "*authtokens"),
    *("*apitokens", "*sessiontokens", "*bearer", "*jwt", "*jwtassertion", "*oidcdata"),
    *("*csrf", "*xsrf", "*clientassertion", "*samlresponse", "*samlassertion", "*codeverifier"),
    # HTTP
    *("*authorization", "*authorizationcode", "*authorizationheader", "auth", "*basicauth"),
    *("*authheader", "*cookie", "*cookies", "*cookieheader", "*sessionid", "*sessid"),
    *("*connectsid",),
    # A signature in a URL is as good as a password while it lasts.
    *("*amzsignature", "*googsignature", "signature", "sig"),
    # Addresses that have a password in them.
    *("*connectionstring*", "*connstr*", "*connectionuri", "*databaseurl", "*dburl", "*dsn"),
    *("*mongouri", "*mongodburi", "*redisurl", "*jdbcurl", "*amqpurl"),
    # Second factors, cards, people.
    *("*otp", "*otpcode", "*mfacode", "*recoverycode", "*recoverycodes", "*backupcodes"),
    *("*verificationcode", "*cvv", "*cvc", "*securitycode", "*cardnumber", "*creditcard"),
    *("*ssn", "*socialsecuritynumber", "*socialsecurity"),
)

NOT_SECRET = (
    # Where one is in a list.
    *("next*token", "previous*token", "prev*token", "*pagetoken", "*pagingtoken"),
    *("*paginationtoken", "*continuationtoken", "*startingtoken", "*synctoken", "*resumetoken"),
    "*idempotencytoken",
    # What a secret is called, and people.
    *("*secretname", "*secretarn", "*secretary*", "*secretariat*"),
    # CORS
    *("*allowcredentials", "*withcredentials"),
)
"""Taken out of the defaults; never of a user's own keys."""

MAX_KNOWN = 4_096
MAX_KNOWN_CHARS = 256
"""Verdicts that are remembered, and the longest name: bodies repeat their keys."""

_DIGITS = "0123456789"
_PLAIN = {code: chr(code).lower() if chr(code).isalnum() else None for code in range(128)}


def normalized(name: str) -> str:
    """Letters and digits alone, in one case; full-width and the like as their plain form."""
    if name.isascii():
        return name.translate(_PLAIN)
    name = unicodedata.normalize("NFKC", name)
    return "".join(filter(str.isalnum, name.casefold()))


def glob_problem(glob: str) -> str | None:
    """What is wrong with a user's key, None where nothing is."""
    if not normalized(glob):
        return "holds no letter and no digit; capture: {response: false} sends no body at all"
    return None


class _Globs:
    """Several names with ``*``, compared at once; time is linear in the name."""

    def __init__(self, globs: Iterable[str]) -> None:
        self._exact: set[str] = set()
        self._others: list[list[str]] = []
        beginnings, endings, inside = [], [], []
        for glob in globs:
            pieces = [normalized(piece) for piece in glob.split("*")]
            first, last, middle = pieces[0], pieces[-1], [one for one in pieces[1:-1] if one]
            if len(pieces) == 1:
                self._exact.add(first)
            elif first and not last and not middle:
                beginnings.append(first)
            elif last and not first and not middle:
                endings.append(last)
            elif not first and not last and len(middle) == 1:
                inside += middle
            else:
                self._others.append([first, *middle, last])
        self._beginnings = tuple(beginnings)
        self._endings = tuple(endings)
        self._inside = re.compile("|".join(map(re.escape, inside)) if inside else "(?!)")

    def match(self, name: str) -> bool:
        """Whether one of them is `name`, which is normalized."""
        bare = name.rstrip(_DIGITS)
        return (
            name in self._exact
            or bare in self._exact
            or name.startswith(self._beginnings)
            or name.endswith(self._endings)
            or bare.endswith(self._endings)
            or self._inside.search(name) is not None
            or any(_fits(name, one) or _fits(bare, one) for one in self._others)
        )


def _fits(name: str, pieces: list[str]) -> bool:
    """`pieces` in their order, the first at the beginning and the last at the end."""
    first, *middle, last = pieces
    end = len(name) - len(last)
    if not name.startswith(first) or not name.endswith(last):
        return False
    position = len(first)
    for piece in middle:
        found = name.find(piece, position, end)
        if found < 0:
            return False
        position = found + len(piece)
    return position <= end


class SecretNames:
    """The rule in force: `keys` are the user's, `defaults` whether ours apply too."""

    def __init__(self, keys: Iterable[str] = (), *, defaults: bool = True) -> None:
        self._own = _Globs(keys)
        self._ours = _Globs(DEFAULT_KEYS if defaults else ())
        self._not = _Globs(NOT_SECRET)
        self._known: dict[str, bool] = {}

    def match(self, name: str) -> bool:
        """Whether what `name` stands for is a secret."""
        verdict = self._known.get(name)
        if verdict is None:
            plain = normalized(name)
            verdict = self._own.match(plain) or (
                self._ours.match(plain) and not self._not.match(plain)
            )
            if len(name) <= MAX_KNOWN_CHARS:
                if len(self._known) >= MAX_KNOWN:
                    self._known.clear()
                self._known[name] = verdict
        return verdict
