"""The expressions by which secrets are known: how they begin, and what stands before them. Data, no behaviour.

In an expression with groups, a group is the secret; in one without, all of it.
"""

from __future__ import annotations

from typing import Literal

__all__ = ["KINDS", "PLACES", "SHAPES", "Kind"]

Kind = Literal[
    "private-key", "connection", "token", "jwt", "password", "header", "random", "e-mail", "home", "webhook", "keyword"
]
KINDS: tuple[Kind, ...] = (
    *("private-key", "connection", "webhook", "jwt", "token", "header", "password", "keyword", "random"),
    *("e-mail", "home"),
)
"""The first that claims a place names it."""

# --- shapes: the secret is known by how it begins -------------------------------------------------------------------

SHAPES: tuple[tuple[Kind, str], ...] = (
    ("token", r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{40,})"),
    ("token", r"\bgl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|soat)-[\w-]{18,}"),
    ("token", r"\b(?:sk|pk|rk|ak)[-_](?:[a-z]{2,10}[0-9]{0,2}[-_]){0,3}[A-Za-z0-9_-]{20,}"),
    ("token", r"\bwhsec_[A-Za-z0-9+/=]{20,}"),
    ("token", r"\bxox[a-z](?:-[A-Za-z0-9]+){2,}|\bxapp-\d-[A-Za-z0-9-]{20,}"),
    (
        "token",
        r"\b(?:hf|npm|nf[pcoub]|sntrys|sntryu|pul|fo1|tskey|dop_v1|doo_v1|dor_v1|ntn|figd|rubygems)_[\w+/=-]{20,}",
    ),
    (
        "token",
        r"\b(?:shp(?:at|ca|pa|ss)|lin_api|secret|dckr_pat|ops|tk|phc|phx|rdme|glsa|glc|eyJrIjoi)_?[-_]?[A-Za-z0-9_-]{30,}",
    ),
    ("token", r"\bpypi-[\w-]{40,}"),
    ("token", r"\b(?:AIza[\w-]{30,}|ya29\.[\w-]{20,}|GOCSPX-[\w-]{20,}|1//0[\w-]{30,})"),
    ("token", r"\b(?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA)[A-Z0-9]{16}\b"),
    ("token", r"\b(?:hvs|hvb|hvr|dp\.(?:pt|st|ct|sa|scim|audit))\.[\w.-]{20,}"),
    ("token", r"\b[A-Za-z0-9]{14}\.atlasv1\.[\w-]{40,}"),
    ("token", r"\bATATT3[\w=-]{40,}|\bATBB[A-Za-z0-9]{28,}|\bsq0[a-z]{3}-[\w-]{20,}|\bEAAA[\w-]{40,}"),
    ("token", r"\bdapi[0-9a-f]{32}(?:-\d)?\b|\bkey-[0-9a-f]{32}\b|\bAGE-SECRET-KEY-1[0-9A-Z]{50,}"),
    ("token", r"\bSG\.[\w-]{16,}\.[\w-]{16,}|\b(?:SK|AC)[0-9a-f]{32}\b|\b[0-9a-f]{32}-us\d{1,2}\b"),
    ("token", r"\b(?:NRAK-[A-Z0-9]{27}|PMAK-[0-9a-f]{24}-[0-9a-f]{34}|sl\.[\w-]{60,}|AKC[a-zA-Z0-9]{30,})"),
    ("token", r"\b\d{8,10}:AA[\w-]{32,}|\b[MNO][A-Za-z0-9_-]{23,27}\.[\w-]{6}\.[\w-]{27,}"),
    ("jwt", r"\beyJ[\w-]{8,}\.(?:eyJ)?[\w-]{8,}(?:\.[\w-]*){0,3}"),
    ("webhook", r"https://hooks\.slack\.com/(?:services|workflows)/([\w/+-]{20,})"),
    ("webhook", r"https://(?:\w+\.)?discord(?:app)?\.com/api/webhooks/(\d+/[\w-]{20,})"),
    ("webhook", r"https://[\w.-]+\.webhook\.office\.com/(\S{20,})"),
)

# --- places: the secret is known by what stands before it -----------------------------------------------------------

PLACES: tuple[tuple[Kind, str], ...] = (
    ("connection", r"(?i)\b[a-z][a-z0-9+.-]{1,20}://[^\s:/?#@\"'<>]{0,256}:(?!\d+/)([^\s\"'<>]{1,256})@(?=[\w.\[%-])"),
    ("connection", r"(?i)\b[a-z][a-z0-9+.-]{1,20}://([A-Za-z0-9_-]{16,256})@(?=[\w.\[-])"),
    ("connection", r"(?i)\b(?:AccountKey|SharedAccessKey|SharedAccessSignature|sig)=([A-Za-z0-9+/%=_-]{16,})"),
    ("connection", r"(?im)(?:^|[;\"'])[ ]?(?:password|pwd)=([^;\s\"']{3,})"),
    ("header", r"(?i)\b(?:proxy-)?authorization\\?[\"']?\s*[:=,]\s*\\?[\"']?(?:[a-z-]{3,12}\s+)?([^\s\"'\\]{8,})"),
    ("header", r"(?i)\b(?:bearer|basic|token)[ ]+([A-Za-z0-9+/=._~-]{16,})"),
    (
        "header",
        (
            r"(?i)\b(?:x-[a-z0-9-]{0,40}(?:key|token|secret|auth|signature)|(?:set-)?cookie)[\"']?[ ]*:[ ]*[\"']?"
            r"(\w+=[^\r\n\"']{6,}|[^\s\"'=]{16,})"
        ),
    ),
    (
        "password",
        r"(?i)[?&;](?:[a-z_-]{0,24}(?:key|token|secret|sig|signature|password|pwd|auth|code))=([^\s&\"'<>#;]{6,})",
    ),
    (
        "password",
        (
            r"(?i)(?:^|\s)--?(?:[a-z]+-)?(?:pass(?:word|wd|phrase)?|secret|token|api-?key)[ =]+[\"']?"
            r"([^\s\"'<>$-][^\s\"'<>]{3,})"
        ),
    ),
    ("password", r"(?i)\bcurl\b[^\n]{0,400}?\s(?:-u|--user)[ =]?[\"']?[^\s:\"']{1,64}:([^\s\"']{3,})"),
    ("password", r"(?i)\b(?:mysql|mysqldump|mariadb)\b[^\n]{0,200}?\s-p([^\s\"']{4,})"),
    ("password", r"(?i)\bpassword[ \t]+(?=\S*[\d!#$%&*?^])([^\s\"'`]{6,})"),
    ("password", r"(?m)(?:^|[\s+-])[\w.*-]{1,120}:(?:\d{2,5}|\*):[\w*-]{1,64}:[\w*.-]{1,64}:(\S{3,})$"),
    (
        "password",
        r"(?i)\b(?:sshpass\s+-p\s*|requirepass\s+|(?:IDENTIFIED\s+BY|WITH\s+PASSWORD)\s+(?=[\"']))[\"']?([^\s\"';]{4,})",
    ),
    ("password", r"(?i)_(?:authToken|auth|password)\s*=\s*\"?([^\s\"$]{8,})"),
    ("password", r"(?i)\"auth\"\s*:\s*\"([A-Za-z0-9+/=]{8,})\""),
    ("password", r"(?i)\b(?:PrivateKey|PresharedKey)\s*=\s*([A-Za-z0-9+/]{42,43}=)"),
)
