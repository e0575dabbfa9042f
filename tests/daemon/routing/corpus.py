"""Secrets of many kinds, made from a seed, and real text to plant them in. None of them was ever valid anywhere.

A kind is how the secret looks (`core`, which may not leave) and how it stands in a line. Nothing here is a secret that
a scanner of this repository would find: the parts are put together when the test runs.
"""

from __future__ import annotations

import base64
import difflib
import json
import random
import string
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["KINDS", "Planted", "hosts", "plant", "planted"]

LETTERS = string.ascii_letters + string.digits
HEX = "0123456789abcdef"
UPPER = string.ascii_uppercase + string.digits
URLSAFE = LETTERS + "-_"
BASE64 = LETTERS + "+/"


class Planted(NamedTuple):
    """`core` may not leave; `text` is a file, a log or a diff that holds it."""

    kind: str
    core: str
    text: str


Random = random.Random


def some(rng: Random, alphabet: str, length: int) -> str:
    return "".join(rng.choice(alphabet) for _ in range(length))


def word(rng: Random) -> str:
    """A password as people choose one."""
    return rng.choice(["Winter", "hunter", "Tr0ub", "s3cur", "korrekt"]) + some(rng, LETTERS, 4) + rng.choice("!#%&*?7")


def pem(rng: Random, label: str) -> str:
    body = "\n".join(some(rng, BASE64, 64) for _ in range(8))
    return f"-----BEGIN {label}-----\n{body}\n{some(rng, BASE64, 22)}==\n-----END {label}-----"


def jwt(rng: Random) -> str:
    parts = [{"alg": "HS256", "typ": "JWT"}, {"sub": some(rng, LETTERS, 9), "admin": True}]
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, some(rng, URLSAFE, 43)])


Make = Callable[[Random], str]


def token(prefix: str, alphabet: str, length: int, suffix: str = "") -> Make:
    return lambda rng: prefix + some(rng, alphabet, length) + suffix


ANYWHERE = (
    "{}",
    'key = "{}"',
    "KEY={}",
    "fetched with {} in 3 ms",
    '{{"value": "{}", "n": 1}}',
    "curl -H 'X-Thing: {}' https://api.acme.io/v1",
    "- name: KEY\n  value: {}",
    "// TODO remove {}",
)
"""A token that is known by its own shape must be found in any of these."""

KINDS: dict[str, tuple[Make, tuple[str, ...]]] = {
    "aws access key": (token("AKIA", UPPER, 16), ANYWHERE),
    "aws secret key": (
        token("", BASE64, 40),
        ("aws_secret_access_key = {}", 'AWS_SECRET_ACCESS_KEY="{}"', "SecretAccessKey: {}"),
    ),
    "aws session token": (token("FwoGZXIvYXdz", BASE64, 180), ("aws_session_token={}", '"SessionToken": "{}"')),
    "github token": (token("ghp_", LETTERS, 36), ANYWHERE),
    "github fine-grained": (token("github_pat_", LETTERS, 22, "_" + "a1B2" * 14), ANYWHERE),
    "github oauth": (token("gho_", LETTERS, 36), ANYWHERE),
    "gitlab token": (token("glpat-", URLSAFE, 20), ANYWHERE),
    "slack bot": (
        lambda r: f"xoxb-{some(r, string.digits, 12)}-{some(r, string.digits, 12)}-{some(r, LETTERS, 24)}",
        ANYWHERE,
    ),
    "slack webhook": (
        lambda r: f"T{some(r, UPPER, 8)}/B{some(r, UPPER, 8)}/{some(r, LETTERS, 24)}",
        ("https://hooks.slack.com/services/{}", 'post("https://hooks.slack.com/services/{}", text)'),
    ),
    "stripe live": (token("sk_live_", LETTERS, 24), ANYWHERE),
    "stripe restricted": (token("rk_live_", LETTERS, 30), ANYWHERE),
    "twilio": (token("SK", HEX, 32), ANYWHERE),
    "sendgrid": (lambda r: f"SG.{some(r, URLSAFE, 22)}.{some(r, URLSAFE, 43)}", ANYWHERE),
    "mailchimp": (token("", HEX, 32, "-us14"), ANYWHERE),
    "mailgun": (token("key-", HEX, 32), ANYWHERE),
    "npm": (token("npm_", LETTERS, 36), (*ANYWHERE, "//registry.acme.io/:_authToken={}")),
    "pypi": (token("pypi-AgEIcHlwaS5vcmc", URLSAFE, 90), ANYWHERE),
    "discord bot": (lambda r: f"M{some(r, LETTERS, 23)}.{some(r, URLSAFE, 6)}.{some(r, LETTERS, 27)}", ANYWHERE),
    "telegram bot": (lambda r: f"{some(r, '123456789', 10)}:AA{some(r, URLSAFE, 33)}", ANYWHERE),
    "openai": (lambda r: f"sk-proj-{some(r, URLSAFE, 48)}", ANYWHERE),
    "anthropic": (lambda r: f"sk-ant-api03-{some(r, URLSAFE, 93)}AA", ANYWHERE),
    "openrouter": (token("sk-or-v1-", HEX, 64), ANYWHERE),
    "hugging face": (token("hf_", LETTERS, 34), ANYWHERE),
    "google api": (token("AIza", URLSAFE, 35), ANYWHERE),
    "google oauth": (token("GOCSPX-", URLSAFE, 28), ANYWHERE),
    "digitalocean": (token("dop_v1_", HEX, 64), ANYWHERE),
    "shopify": (token("shpat_", HEX, 32), ANYWHERE),
    "square": (token("sq0atp-", URLSAFE, 22), ANYWHERE),
    "databricks": (token("dapi", HEX, 32), ANYWHERE),
    "vault": (token("hvs.", URLSAFE, 90), ANYWHERE),
    "doppler": (token("dp.pt.", LETTERS, 40), ANYWHERE),
    "linear": (token("lin_api_", LETTERS, 40), ANYWHERE),
    "notion": (token("ntn_", LETTERS, 46), ANYWHERE),
    "terraform": (lambda r: f"{some(r, LETTERS, 14)}.atlasv1.{some(r, LETTERS, 60)}", ANYWHERE),
    "atlassian": (token("ATATT3xFfGF0", URLSAFE, 170, "=1A2B3C4D"), ANYWHERE),
    "age": (token("AGE-SECRET-KEY-1", UPPER, 58), ANYWHERE),
    "new relic": (token("NRAK-", UPPER, 27), ANYWHERE),
    "json web token": (jwt, (*ANYWHERE, "Cookie: theme=dark; session={}")),
    "rsa key": (lambda r: pem(r, "RSA PRIVATE KEY"), ("{}", 'KEY = """{}"""')),
    "openssh key": (lambda r: pem(r, "OPENSSH PRIVATE KEY"), ("{}", "cat > id <<EOF\n{}\nEOF")),
    "key in json": (
        lambda r: pem(r, "PRIVATE KEY").replace("\n", "\\n"),
        ('{{"type": "service_account", "private_key": "{}\\n", "client_id": "1"}}', 'env KEY="{}"'),
    ),
    "pgp key": (lambda r: pem(r, "PGP PRIVATE KEY BLOCK"), ("{}",)),
    "cut-off key": (lambda r: pem(r, "EC PRIVATE KEY").rpartition("\n")[0], ("{}",)),
    "wireguard": (token("", BASE64, 43, "="), ("[Interface]\nPrivateKey = {}", "PresharedKey={}")),
    "azure storage": (
        token("", BASE64, 86, "=="),
        (
            "DefaultEndpointsProtocol=https;AccountName=acme;AccountKey={};EndpointSuffix=core.windows.net",
            "AccountKey={}",
        ),
    ),
    "azure sas": (
        token("", BASE64.replace("+", ""), 43, "%3D"),
        ("https://acme.blob.core.windows.net/x?sv=2024&sig={}&se=2027",),
    ),
    "postgres url": (word, ("postgresql://app:{}@db.acme.io:5432/app", "DATABASE_URL=postgres://app:{}@10.0.0.5/app")),
    "mysql url": (
        word,
        ("mysql+pymysql://root:{}@localhost/shop", 'engine = create_engine("mysql://root:{}@db/shop")'),
    ),
    "mongodb url": (word, ("mongodb+srv://svc:{}@cluster0.ab1cd.mongodb.net/?w=majority",)),
    "redis url": (word, ("redis://:{}@cache.acme.io:6379/0", "broker_url: rediss://default:{}@cache:6380")),
    "amqp url": (word, ("amqps://guest:{}@mq.acme.io/vhost",)),
    "git url": (
        token("", LETTERS, 32),
        ("git clone https://deploy:{}@git.acme.io/a/b.git", "https://{}@git.acme.io/a.git"),
    ),
    "odbc": (word, ("Server=db;Database=shop;Uid=sa;Pwd={};Encrypt=yes", '"Server=db;User Id=sa;Password={};"')),
    "bearer": (
        token("", LETTERS, 40),
        ("Authorization: Bearer {}", '-H "Authorization: Bearer {}"', "'Authorization': 'Bearer {}',"),
    ),
    "basic": (
        lambda r: base64.b64encode(f"admin:{word(r)}".encode()).decode(),
        ("Authorization: Basic {}", "> authorization: basic {}"),
    ),
    "cookie": (token("", HEX, 40), ("Set-Cookie: sid={}; HttpOnly", "Cookie: _ga=1; sessionid={}")),
    "query": (
        token("", LETTERS, 24),
        ("GET /v1/me?access_token={}&v=2 HTTP/1.1", "https://api.acme.io/x?q=1&api_key={}"),
    ),
    "password in code": (word, ('password = "{}"', "DB_PASSWORD = '{}'", 'connect(user="app", passwd="{}")')),
    "password in json": (word, ('{{"user": "app", "password": "{}"}}', '"dbPassword": "{}",')),
    "password in yaml": (word, ("  password: {}", "  rootPassword: '{}'", 'mail_pass: "{}"')),
    "password in env": (word, ("export DB_PASSWORD={}", "SMTP_PASSWORD={}", "MYSQL_PWD={} mysqldump shop")),
    "netrc": (word, ("machine git.acme.io login bot password {}", "machine x.acme.io\n login bot\n password {}")),
    "pgpass": (word, ("db.acme.io:5432:app:owner:{}", "*:*:*:postgres:{}")),
    "command line": (
        word,
        ("deploy --user bot --password {}", "mysql -uroot -p{} shop", "curl -u bot:{} https://x.acme.io"),
    ),
    "sql": (word, ("CREATE USER app IDENTIFIED BY '{}';", "ALTER ROLE app WITH PASSWORD '{}';")),
    "docker auth": (
        lambda r: base64.b64encode(f"bot:{some(r, LETTERS, 20)}".encode()).decode(),
        ('{{"auths": {{"r.acme.io": {{"auth": "{}"}}}}}}',),
    ),
    "django": (token("", LETTERS + "!@#$%^&*(-_=+)", 50), ('SECRET_KEY = "django-insecure-{}"', 'SECRET_KEY = "{}"')),
    "client secret": (token("", URLSAFE, 34), ('client_secret: "{}"', "OAUTH_CLIENT_SECRET={}")),
    "heroku": (
        lambda r: "-".join(some(r, HEX, n) for n in (8, 4, 4, 4, 12)),
        ("HEROKU_API_KEY={}", 'heroku_api_key = "{}"'),
    ),
    "datadog": (token("", HEX, 32), ("DD_API_KEY={}", "api_key: {}", 'apiKey: "{}"')),
    "unlabelled": (token("", LETTERS, 40), ('"{}"', "got {}", "value: {}")),
    "unlabelled hex": (token("", HEX, 64), ('"{}"', "got {}")),
    "e-mail": (
        lambda r: f"{some(r, string.ascii_lowercase, 9)}@acme-corp.io",
        ("From: Jo <{}>", "contact {} first", 'to = "{}"'),
    ),
    "home": (
        lambda r: some(r, string.ascii_lowercase, 9),
        ('File "/home/{}/work/app.py", line 3, in run', "PATH=/Users/{}/bin:/bin", r"C:\Users\{}\code\x.py"),
    ),
}


def hosts() -> list[tuple[str, str]]:
    """Real Python files, by name: the standard library's own."""
    folder = Path(sysconfig.get_path("stdlib"))
    names = ("argparse", "tarfile", "configparser", "smtplib", "zipfile", "logging/handlers", "json/decoder", "shutil")
    return [(name, (folder / f"{name}.py").read_text(encoding="utf-8")) for name in names]


def planted(each: int, seed: int = 7) -> Iterator[Planted]:
    """Every kind so many times, in turn in code, in a log and in a diff."""
    rng = random.Random(seed)
    for kind, (make, lines) in KINDS.items():
        for number in range(each):
            core = make(rng)
            line = lines[number % len(lines)].format(core)
            yield Planted(kind, core, plant(rng, line, number))


def plant(rng: Random, line: str, number: int) -> str:
    name, source = rng.choice(hosts_cached())
    return (_in_code, _in_log, _in_diff)[number % 3](rng, line, name, source)


def _in_code(rng: Random, line: str, name: str, source: str) -> str:
    lines = source.splitlines()[:120]
    at = rng.randrange(10, len(lines))
    return "\n".join([*lines[:at], line, *lines[at:]])


def _in_log(rng: Random, line: str, name: str, source: str) -> str:
    log = [
        f"2026-03-0{n % 9 + 1}T10:22:{n:02}Z INFO {name}[{800 + n}]: handled /v1/items/{n} in {n * 3} ms"
        for n in range(30)
    ]
    return "\n".join(
        [*log[:17], *(f"2026-03-01T10:23:00Z DEBUG {name}[817]: {part}" for part in line.split("\n")), *log[17:]]
    )


def _in_diff(rng: Random, line: str, name: str, source: str) -> str:
    before = source.splitlines()[:80]
    at = rng.randrange(10, 70)
    after = [*before[:at], *line.split("\n"), *before[at + 2 :]]
    return "\n".join(difflib.unified_diff(before, after, f"a/{name}.py", f"b/{name}.py", lineterm=""))


_HOSTS: list[tuple[str, str]] = []


def hosts_cached() -> list[tuple[str, str]]:
    if not _HOSTS:
        _HOSTS.extend(hosts())
    return _HOSTS
