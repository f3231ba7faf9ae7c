"""What is left out: tables of names and texts, and properties over every cut."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.edits import REDACTED, applied
from exporter.json_reading import MAX_DEPTH
from exporter.patterns import PatternError, compile_pattern
from exporter.redaction import MAX_EMBEDDED, Redactor
from exporter.secret_names import DEFAULT_KEYS, SecretNames, normalized
from exporter.settings import RedactSettings

DEFAULT = Redactor()
MARK = "█"
"""Stands in secrets alone; one in the output is a leak."""


def words(text: str) -> list[str]:
    return text.split()


SECRET_NAMES = words("""
password Password PASSWORD passwd user_password userPassword newPassword password1 passwordHash
DB_PASSWORD PGPASSWORD MYSQL_ROOT_PASSWORD spring.datasource.password user[password] pass-word
passphrase private_key_passphrase pwd DB_PWD pass db_pass smtpPass secret secrets clientSecret
client_secret clientsecret AWS_SECRET_ACCESS_KEY SecretString SecretBinary secretKey secret_id
signing_secret STRIPE_SECRET_KEY webhookSecret token accessToken access_token refreshToken
refresh_token id_token idToken csrfToken X-CSRF-Token X-XSRF-TOKEN sessionToken SessionToken
AWS_SESSION_TOKEN X-Amz-Security-Token X-Vault-Token authToken bearerToken deviceToken taskToken
client_token GITHUB_TOKEN slack_bot_token apiToken token1 apiKey api_key api-key API_KEY apikey
X-Api-Key x-api-key x_api_key OPENAI_API_KEY apiKeys privateKey private_key PrivateKey
tls.private.key accessKey accessKeyId AWS_ACCESS_KEY_ID access_key authorization Authorization
Proxy-Authorization X-Amzn-Authorization authorizationToken authorization_code auth basicAuth
cookie Cookie Set-Cookie set_cookie cookies credential credentials awsCredentials X-Amz-Credential
sessionId session_id sessionid JSESSIONID PHPSESSID connect.sid cvv CVV2 cvc card_cvc
securityCode cardNumber card_number creditCardNumber ssn SSN user_ssn socialSecurityNumber
connectionString connection_string ConnectionStrings DATABASE_URL db_url SENTRY_DSN MONGODB_URI
AccountKey SharedAccessKey encryptionKey signing_key masterKey license_key NEW_RELIC_LICENSE_KEY
Ocp-Apim-Subscription-Key jwt userJwt X-Amz-Signature Signature sig otp totp mfaCode recoveryCodes
verification_code pin code_verifier SAMLResponse x-amzn-oidc-data x-amzn-oidc-accesstoken
X-Goog-Iap-Jwt-Assertion ｐａｓｓｗｏｒｄ
""")
PLAIN_NAMES = words("""
user name id email status nextToken NextToken next_token nextPageToken next_page_token pageToken
continuationToken NextContinuationToken ContinuationToken StartingToken paginationToken syncToken
nextSyncToken idempotencyToken tokenCount token_count max_tokens maxTokens total_tokens tokens
prompt_tokens completion_tokens tokenType token_type tokenizer tokenExpiry token_id key keys
primaryKey partition_key sortKey foreign_key cacheKey Key publicKey public_key keyboard monkey
idempotencyKey apiKeyId apiKeySource KMSMasterKeyID kmsKeyId encryptionKeyArn signingKeyId
secretArn secretName secretary author authority authorizer authenticated oauth_version
authorizationUrl authorization_endpoint authorizationType authorizerPrincipal cookieConsent
access-control-allow-credentials withCredentials session sessionIdleTimeout className classname
passenger compass bypass passed pinned spinner shipping pincode assign design signed signatureType
url uri code state nonce order_number carNumber cardType phoneNumber account iban address
statusCode headers body isBase64Encoded requestId traceId description
""")


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_these_names_are_of_secrets(name: str) -> None:
    """As they stand in real events, environments and answers."""
    assert SecretNames().match(name)


def test_a_secret_goes_under_each_of_these_names() -> None:
    """As a key of JSON, of JSON in JSON, and as a name in a form."""
    for name in SECRET_NAMES:
        inner = json.dumps({name: MARK}, ensure_ascii=False)
        for text in (inner, json.dumps({"body": inner}), f"a=1&{name}={MARK}"):
            left, count = DEFAULT.text(text)
            assert (has_mark(left), count) == (False, 1), text


@pytest.mark.parametrize("name", PLAIN_NAMES)
def test_these_names_are_of_nothing_secret(name: str) -> None:
    """Neighbours of the above that a trace is read for."""
    assert not SecretNames().match(name)


@pytest.mark.parametrize(
    ("key", "name", "expected"),
    [
        ("*iban*", "customerIbanNumber", True),
        ("*iban*", "customer", False),
        ("iban", "IBAN_2", True),
        ("iban", "ibans", False),
        ("tax*", "Tax-Number", True),
        ("tax*", "syntax", False),
        ("tax*number", "tax.file.number", True),
        ("tax*number", "number", False),
        ("ab*ba", "aba", False),
        ("*a*b*", "xaxbx", True),
        ("next-token", "nextToken", True),
    ],
)
def test_a_users_key_may_hold_stars(key: str, name: str, expected: bool) -> None:
    """`*` is any text, the rest is compared as ours; what ours leave out does not count."""
    assert SecretNames((key,), defaults=False).match(name) is expected
    assert SecretNames((key,)).match(name) is expected


def test_without_the_defaults_the_users_alone_count() -> None:
    """`defaults: false` leaves nothing of ours."""
    rules = Redactor(RedactSettings(keys=("iban",), defaults=False))
    text = '{"password":"a","iban":"b"}'
    assert rules.text(text) == (f'{{"password":"a","iban":"{REDACTED}"}}', 1)
    assert not any(SecretNames(defaults=False).match(key.replace("*", "")) for key in DEFAULT_KEYS)


R = REDACTED
JSON_TABLE = [
    ('{"password":"x"}', f'{{"password":"{R}"}}', 1),
    ('{"password" : 12.5e3 , "a":1}', f'{{"password" : "{R}" , "a":1}}', 1),
    ('{"password":[1,{"a":"}"}],"a":1}', f'{{"password":"{R}","a":1}}', 1),
    ('{"credentials":{"user":"u","x":[]}}', f'{{"credentials":"{R}"}}', 1),
    ('{"password":true,"secret":false}', f'{{"password":"{R}","secret":"{R}"}}', 2),
    ('{"password":null}', '{"password":null}', 0),
    ('{"user[password]":"x"}', f'{{"user[password]":"{R}"}}', 1),
    ("""{"'password'" :"x"}""", f"""{{"'password'" :"{R}"}}""", 1),
    ('{"password":""}', f'{{"password":"{R}"}}', 1),
    ('{"a":[{"b":{"token":"x"}}]}', f'{{"a":[{{"b":{{"token":"{R}"}}}}]}}', 1),
    ('{"token":"x","token":"y"}', f'{{"token":"{R}","token":"{R}"}}', 2),
    (r'{"p\u0061ssword":"x"}', rf'{{"p\u0061ssword":"{R}"}}', 1),
    (r'{"pass\/word":"x"}', rf'{{"pass\/word":"{R}"}}', 1),
    (r'{"\uff50assword":"x"}', rf'{{"\uff50assword":"{R}"}}', 1),
    (r'{"a\"pin":1,"pin":2,"b":"\"pin\""}', rf'{{"a\"pin":1,"pin":"{R}","b":"\"pin\""}}', 1),
    (r'[["pass\/word","x"]]', rf'[["pass\/word","{R}"]]', 1),
    (r'[{"name":"pass\/word","value":"x"}]', rf'[{{"name":"pass\/word","value":"{R}"}}]', 1),
    (r'{"pass\u002dword":"x\"y"}', rf'{{"pass\u002dword":"{R}"}}', 1),
    (r'{"body":"{\"password\": \"x\"}"}', rf'{{"body":"{{\"password\": \"{R}\"}}"}}', 1),
    (
        r'{"b":"{\"c\":\"{\\\"token\\\":\\\"x\\\"}\"}"}',
        rf'{{"b":"{{\"c\":\"{{\\\"token\\\":\\\"{R}\\\"}}\"}}"}}',
        1,
    ),
    (
        r'{"b":"{\u0022password\u0022:\u0022x\u0022}","é":"\u00e9"}',
        rf'{{"b":"{{\u0022password\u0022:\"{R}\"}}","é":"\u00e9"}}',
        1,
    ),
    (r'{"b":"{\"password\"\n:\n\"x\"}"}', rf'{{"b":"{{\"password\"\n:\n\"{R}\"}}"}}', 1),
    (r'"{\"password\":\"x\"}"', rf'"{{\"password\":\"{R}\"}}"', 1),
    (
        '{"multiValueHeaders":{"Cookie":["a","b"],"Host":["h"]}}',
        f'{{"multiValueHeaders":{{"Cookie":"{R}","Host":["h"]}}}}',
        1,
    ),
    ('[{"name":"password","value":"x"}]', f'[{{"name":"password","value":"{R}"}}]', 1),
    ('[{"Value":"x","Key":"password"}]', f'[{{"Value":"{R}","Key":"password"}}]', 1),
    ('{"value":{"a":"x"},"name":"token"}', f'{{"value":"{R}","name":"token"}}', 1),
    ('{"key":"token","value":{"stringValue":"x"}}', f'{{"key":"token","value":"{R}"}}', 1),
    ('[{"name":"color","value":"x"}]', '[{"name":"color","value":"x"}]', 0),
    ('{"name":"color","value":"r', '{"name":"color","value":"r', 0),
    ('{"value":[{"a":1},{"b"', '{"value":[{"a":1},{"b"', 0),
    ('[["authorization","x"],["host","h"]]', f'[["authorization","{R}"],["host","h"]]', 1),
    ('{"required":["password","token"]}', '{"required":["password","token"]}', 0),
    ('{"q":"a=1&password=x&b=2"}', f'{{"q":"a=1&password={R}&b=2"}}', 1),
    ('{"u":"https://h/?token=x&b=\\"2\\""}', f'{{"u":"https://h/?token={R}&b=\\"2\\""}}', 1),
    ('{"password":"x"}\n{"token":"y"}\n', f'{{"password":"{R}"}}\n{{"token":"{R}"}}\n', 2),
    ('\ufeff{"password":"x"}', f'\ufeff{{"password":"{R}"}}', 1),
]


@pytest.mark.parametrize(("text", "expected", "count"), JSON_TABLE)
def test_values_go_and_the_rest_stays_to_the_byte(text: str, expected: str, count: int) -> None:
    """JSON, embedded JSON, pairs and lists of headers; once more changes nothing."""
    assert DEFAULT.text(text, cut=True) == (expected, count)
    assert DEFAULT.text(expected, cut=True) == (expected, 0)


TEXT_TABLE = [
    ("a=1&password=x%20y&b=2", f"a=1&password={R}&b=2"),
    ("user%5Bpassword%5D=x&b=2", f"user%5Bpassword%5D={R}&b=2"),
    ("p%61ssword=x", f"p%61ssword={R}"),
    ("password=a,b;c", f"password={R}"),
    ("password=", "password="),
    ("Server=s;User=u;Password=x;", f"Server=s;User=u;Password={R}"),
    ("Authorization: Bearer x y\nHost: h", f"Authorization: {R}\nHost: h"),
    ("got Cookie: a=1; b=2", f"got Cookie: {R}"),
    ("curl -H 'Authorization: Bearer x'", f"curl -H 'Authorization: {R}"),
    ("  password: x y\n  a: b", f"  password: {R}\n  a: b"),
    ("invalid token: x expired", f"invalid token: {R} expired"),
    ("authorization=Bearer x y", f"authorization={R} y"),
    ("{'password': 'it\\'s', 'b': 1}", f"{{'password': '{R}', 'b': 1}}"),
    ("KeyError: {'pin': 1234, 'b': 1}", f"KeyError: {{'pin': {R} 'b': 1}}"),
    ("{'credentials': {'a': ['x'],\n 'b': 'y'}, 'c': 1}", f"{{'credentials': {R}, 'c': 1}}"),
    ('data: {"a": 1, "token": "x"}', f'data: {{"a": 1, "token": "{R}"}}'),
    (r"sent {\"token\":\"x\\\"y\",\"a\":1}", rf"sent {{\"token\":\"{R}\",\"a\":1}}"),
    ("os.environ['DB_PASSWORD'] = 'x'", f"os.environ['DB_PASSWORD'] = '{R}'"),
    ('password="x"y&b', f"password={R}&b"),
    ('{"password": hunter, "b": 1}', f'{{"password": {R} "b": 1}}'),
    ("arn:aws:secretsmanager:eu-west-1:1:secret:x", "arn:aws:secretsmanager:eu-west-1:1:secret:x"),
    ("no tokens here, author: me", "no tokens here, author: me"),
]


@pytest.mark.parametrize(("text", "expected"), TEXT_TABLE)
def test_plain_text_loses_what_follows_a_secret_name(text: str, expected: str) -> None:
    """Forms, headers, Python's repr in messages; once more changes nothing."""
    assert DEFAULT.text(text)[0] == expected
    assert DEFAULT.text(expected) == (expected, 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"password":"x', f'{{"password":"{R}"'),
        ('{"password":"x\\', f'{{"password":"{R}"'),
        ('{"password":"x\\u00', f'{{"password":"{R}"'),
        ('{"password":{"a":"x', f'{{"password":"{R}"'),
        ('{"password":12', f'{{"password":"{R}"'),
        ('{"password":tr', f'{{"password":"{R}"'),
        ('{"password":nu', '{"password":nu'),
        ('{"password":', '{"password":'),
        ('{"passwor', '{"passwor'),
        (r'{"b":"{\"password\":\"x\u00', rf'{{"b":"{{\"password\":\"{R}\"'),
        ('{"value":"x","na', f'{{"value":"{R}","na'),
        ('{"value":"x","name":"passw', f'{{"value":"{R}","name":"passw'),
        ('{"values":["x","y', f'{{"values":"{R}"'),
        ('[["authorization","x', f'[["authorization","{R}"'),
        ("a=1&password=x", f"a=1&password={R}"),
        ("{'password': 'x", f"{{'password': '{R}"),
    ],
)
def test_a_value_that_a_cut_went_through_goes_whole(text: str, expected: str) -> None:
    """Also where it is not known yet what the value of a pair is called."""
    assert DEFAULT.text(text, cut=True)[0] == expected


# Any JSON with secrets in it, written in any way.

PLAIN_TEXT = st.text(st.characters(blacklist_characters=MARK, blacklist_categories=("Cs",)))
PLAIN_KEYS = st.one_of(
    st.sampled_from(["id", "name", "body", "é", "a b"]), PLAIN_TEXT.map(normalized)
)
KEYS = PLAIN_KEYS.filter(lambda key: not SecretNames().match(key) and key.casefold() != "value")
SECRETS = st.text(st.sampled_from(MARK + "\\\"'{}[]:,&= \n\té€😀x"), max_size=8).map(
    lambda s: MARK + s
)
SECRET_VALUES = st.one_of(
    SECRETS,
    st.lists(SECRETS, max_size=3),
    st.dictionaries(SECRETS, SECRETS, max_size=3),
    st.sampled_from([{"name": MARK, "deep": [{"x": MARK}]}]),
)


class Planted(dict[str, Any]):
    """An object whose values are all secret."""


class Text(str):
    """JSON as text in JSON: holds a value to be written into a string."""

    value: Any
    __slots__ = ("value",)


def embedded(value: Any) -> Text:
    text = Text()
    text.value = value
    return text


def pair(secret: str, name: str, *, first: bool) -> dict[str, Any]:
    members = [("name", name), ("value", secret)]
    return dict(members if first else members[::-1])


PLAIN_VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False))
HIDDEN = st.one_of(
    st.dictionaries(st.sampled_from(SECRET_NAMES), SECRET_VALUES, min_size=1, max_size=3),
    st.builds(pair, SECRETS, st.sampled_from(SECRET_NAMES), first=st.booleans()),
    st.tuples(st.sampled_from(SECRET_NAMES), SECRETS).map(lambda one: [list(one)]),
)
VALUES = st.recursive(
    st.one_of(PLAIN_VALUES, st.text('ab \\"\n/é😀', max_size=8), HIDDEN),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(KEYS, inner, max_size=3),
        inner.map(embedded),
    ),
    max_leaves=6,
)


@st.composite
def written(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> str:
    """A JSON text of one of `values`: blanks, escapes and order of keys as they come."""
    blanks = draw(st.sampled_from(["", " ", "\n  ", "\t"]))
    ascii_only = draw(st.booleans())
    escape_keys = draw(st.booleans())
    twice = draw(st.booleans())
    hidden_quotes = draw(st.booleans())

    def text(value: str, *, is_key: bool = False) -> str:
        if is_key and escape_keys and value:
            rest = json.dumps(value[1:], ensure_ascii=ascii_only)[1:]
            if ord(value[0]) < 0x10000:
                return f'"\\u{ord(value[0]):04x}{rest}'
        found = json.dumps(value, ensure_ascii=ascii_only)
        if hidden_quotes:
            found = re.sub(r"\\(.)", lambda one: "\\u0022" if one[1] == '"' else one[0], found)
        return found

    def write(value: Any) -> str:
        if isinstance(value, Text):
            return text(write(value.value))
        if isinstance(value, str):
            return text(value)
        if isinstance(value, dict):
            members = [
                f"{text(key, is_key=True)}{blanks}:{blanks}{write(item)}"
                for key, item in value.items()
            ]
            members *= 2 if twice and len(members) == 1 else 1
            return f"{{{blanks}{f'{blanks},'.join(members)}{blanks}}}"
        if isinstance(value, list):
            return f"[{blanks}{f'{blanks},{blanks}'.join(map(write, value))}{blanks}]"
        return json.dumps(value)

    return write(draw(values))


def has_mark(text: str) -> bool:
    return MARK in text or "\\u2588" in text.lower()


@given(written(VALUES))
@settings(max_examples=150, deadline=None)
def test_no_character_of_a_secret_leaves_wherever_the_cut_falls(text: str) -> None:
    """Every prefix of every writing; the whole stays JSON, and once more changes nothing."""
    for size in range(len(text) + 1):
        left = DEFAULT.text(text[:size], cut=True)[0]
        assert not has_mark(left), (text[:size], left)
    whole, count = DEFAULT.text(text)
    assert not has_mark(whole)
    json.loads(whole)
    read = DEFAULT.read_edits(text, 0, cut=False, whole=True)
    assert applied(text, read) == (whole, count)
    assert count > 0 or not has_mark(text)
    assert DEFAULT.text(whole) == (whole, 0)


@given(
    st.dictionaries(
        st.sampled_from(SECRET_NAMES), st.text(MARK, min_size=1, max_size=9), min_size=1
    )
)
@settings(max_examples=50, deadline=None)
def test_plain_text_keeps_none_of_a_secret_wherever_the_cut_falls(secrets: dict[str, str]) -> None:
    """A form, lines of headers, Python's repr of a dictionary."""
    texts = (
        "a=1&" + "&".join(f"{name}={value}" for name, value in secrets.items()),
        "a: 1\n" + "\n".join(f"{name}: {value} {value}" for name, value in secrets.items()),
        f"ValueError: {secrets!r}",
    )
    for text in texts:
        for size in range(len(text) + 1):
            assert MARK not in DEFAULT.text(text[:size], cut=True)[0]


@given(written(VALUES))
@settings(max_examples=150, deadline=None)
def test_what_is_no_secret_stays_to_the_byte(text: str) -> None:
    """Between the marks of what was left out stand pieces of the original, in their order."""
    whole, count = DEFAULT.text(text)
    position = 0
    pieces = whole.split(REDACTED)
    assert len(pieces) == count + 1
    for index, piece in enumerate(pieces):
        # Quotes are ours where the value had none.
        bare = piece if index == 0 else piece.lstrip('\\"')
        bare = bare if index == count else bare.rstrip('\\"')
        found = text.find(bare, position)
        assert found >= 0, (bare, text)
        position = found + len(bare)
    outside = json.loads(whole)
    if count == 0:
        assert outside == json.loads(text)


@given(st.text(st.sampled_from("password=token:\"'{}[],\\&\n u0061[REDACTED]x1"), max_size=60))
@settings(max_examples=500, deadline=None)
def test_any_text_at_all_is_read_to_its_end(text: str) -> None:
    """Nothing raises, and where the quick look finds nothing, reading finds nothing either."""
    left, count = DEFAULT.text(text, cut=True)
    if count == 0:
        assert left == text
    if DEFAULT._look(text, cut=True) == []:
        assert DEFAULT.read_edits(text, 0, cut=True, whole=True) == []


def test_deep_nesting_is_read_without_recursion_and_goes_whole() -> None:
    """Containers past a bound go as one value; so does JSON in JSON past its own."""
    deep = "[" * 100_000 + '{"password":"x"}' + "]" * 100_000
    assert DEFAULT.text(deep) == (deep.replace("x", R), 1)
    read = "[" * 100_000 + r'{"pass\u0077ord":"x"}' + "]" * 100_000
    assert DEFAULT.text(read) == ("[" * MAX_DEPTH + f'"{R}"' + "]" * MAX_DEPTH, 1)
    text = '{"password":"x"}'
    for _ in range(MAX_EMBEDDED):
        text = json.dumps({"body": text})
    kept, count = DEFAULT.text(text)
    for _ in range(MAX_EMBEDDED):
        kept = json.loads(kept)["body"]
    assert (kept, count) == (f'{{"password":"{R}"}}', 1)
    assert DEFAULT.text(json.dumps({"body": text}))[1] == 1
    assert "x" not in DEFAULT.text(json.dumps({"body": text}))[0]


# Patterns

PATTERNS = Redactor(RedactSettings(patterns=(r"\d{4}-\d{4}", r"sk-\w+", "line.end$")))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a":"no 1234-5678 and 1111-2222."}', f'{{"a":"no {R} and {R}."}}'),
        ('{"1234-5678":["sk-abc"]}', f'{{"1234-5678":["{R}"]}}'),
        (r'{"a":"\u0031234-5678\n"}', rf'{{"a":"{R}\n"}}'),
        (r'{"b":"{\"a\":\"1234\u002d5678\"}"}', rf'{{"b":"{{\"a\":\"{R}\"}}"}}'),
        ('{"a":"[1234-5678]"}', f'{{"a":"[{R}]"}}'),
        ("one 1234-5678\nline end\nsk-1", f"one {R}\n{R}\n{R}"),
        ("token=1234-5678", f"token={R}"),
    ],
)
def test_patterns_leave_out_what_they_match(text: str, expected: str) -> None:
    """In every text value, decoded, and in every line; never in what was left out before."""
    assert PATTERNS.text(text)[0] == expected
    assert PATTERNS.text(expected) == (expected, 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a":"sk-1","b":"no 1234-', f'{{"a":"{R}","b":"{R}'),
        (r'{"b":"{\"a\":\"no\",\"c\":\"12', f'{{"b":"{R}'),
        ("first\nsecond 12", f"first\n{R}"),
        ("only", R),
        ("first\n", "first\n"),
    ],
)
def test_with_patterns_the_text_that_a_cut_went_through_goes_whole(
    text: str, expected: str
) -> None:
    """One of them might have matched the rest."""
    assert PATTERNS.text(text, cut=True)[0] == expected
    assert PATTERNS.text(expected, cut=True) == (expected, 0)


def test_a_long_text_is_searched_in_pieces_that_overlap() -> None:
    """A match is found wherever it stands, and one that goes on past a piece goes whole."""
    for before in (0, 500, 1_000, 1_020, 1_024, 1_500, 5_000):
        text = "." * before + "1234-5678" + "." * 700
        assert PATTERNS.text(text)[0] == text.replace("1234-5678", REDACTED)
    for size in (1_000, 1_020, 5_000, 70_000):
        expected = f"a {REDACTED} b" if size < 65_536 else f"a {REDACTED}"
        assert PATTERNS.text(f"a sk-{'x' * size} b")[0] == expected


@pytest.mark.parametrize(
    "pattern",
    [
        r"\b\d{13,16}\b",
        r"[\w.+-]+@[\w-]+\.[\w.-]+",
        r"(?i)bearer\s+\S+",
        r"sk-[A-Za-z0-9]{20,}",
        r"AKIA[0-9A-Z]{16}",
        r"eyJ[\w-]+\.[\w-]+\.[\w-]+",
        r"(?:\d[ -]?){13,16}",
        r"[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}",
        r"\b(?:\d{1,3}\.){3}\d{1,3}\b",
        r"https?://[^/\s:]+:[^@\s]+@",
        r"-----BEGIN [A-Z ]+-----[\s\S]+?-----END",
        r"(?:foo|bar)+",
        r"(?<=id )\d+",
    ],
)
def test_patterns_for_what_people_look_for_are_taken(pattern: str) -> None:
    """Cards, addresses, keys, tokens: the bound is no obstacle to them."""
    assert compile_pattern(pattern).pattern == pattern


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(a+)+b", "could take for ever: a repeat in a repeat"),
        ("(a*)*", "matches the empty text"),
        ("(?:a?b?c)+d", "could take for ever: a repeat in a repeat"),
        ("(a|a)+b", "could take for ever: alternatives that may begin alike"),
        ("(a|ab)+c", "could take for ever: alternatives that may begin alike"),
        ("(?i)(ab|Ac)+d", "could take for ever: alternatives that may begin alike"),
        ("(?:ab|[ab]c)+d", "could take for ever: alternatives that may begin alike"),
        ("a*a*b", "could take for ever: repeats that can take the same"),
        ("x.*y.*z", "could take for ever: repeats that can take the same"),
        ("(a?){30}a{30}", "could take for ever: repeats that can take the same"),
        ("(?=a*a*b)c", "could take for ever: repeats that can take the same"),
        ("(a{1,30}){1,30}b", "could take for ever: repeats that can take the same"),
        (r"(\w)\1", "refers to a group"),
        ("(?i:a)", "has flags inside"),
        ("a" * 1_001, "has 1001 characters, must be at most 1000"),
        ("[", "is no regular expression: unterminated character set at position 0"),
        ("a{99999999999}", "is no regular expression: the repetition number is too large"),
    ],
)
def test_a_pattern_that_could_hold_the_loop_is_refused(pattern: str, reason: str) -> None:
    """By its form, when the configuration is loaded, and with the reason."""
    with pytest.raises(PatternError) as raised:
        compile_pattern(pattern)
    assert str(raised.value).startswith(reason)


# Attributes


def test_attributes_obey_the_same_rules() -> None:
    """A secret key's value whatever its type, and texts as any text."""
    given_attributes = {
        "password": "x",
        "db.api_key": 12,
        "auth": ["a", "b"],
        "query": "token=x&a=1",
        "json": '{"secret":{"a":1},"b":2}',
        "list": ["a", "password=x"],
        "max_tokens": 5,
        "ok": True,
    }
    assert DEFAULT.attributes(given_attributes) == {
        "password": R,
        "db.api_key": R,
        "auth": R,
        "query": f"token={R}&a=1",
        "json": f'{{"secret":"{R}","b":2}}',
        "list": ["a", f"password={R}"],
        "max_tokens": 5,
        "ok": True,
    }
