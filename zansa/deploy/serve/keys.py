"""Keys of those who may ask: only their hashes are in the key file, one a line, with a role and a name.

read: see pages and figures. infer: ask, and judge doubtful parts. admin: change models. Each role may do what those
before it may.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from pathlib import Path

from ...record import write_atomic
from .limits import Refused

ROLES = ("read", "infer", "admin")


@dataclass(frozen=True)
class Caller:
    """Who asks.

    role: one of ROLES.
    name: as the key file calls the key.
    """

    role: str
    name: str


ANYONE = Caller("admin", "anyone")  # where there is no key file


class Keys:
    """The keys of a file; without a file anyone may do everything."""

    def __init__(self, path: Path | None):
        self.known = _read(path) if path else {}
        self.open = path is None

    def caller(self, key: str | None) -> Caller:
        """Who has this key. Refused with 401 where nobody has."""
        if self.open:
            return ANYONE
        digest = _hash(key or "")
        # every entry is compared, in constant time, so that time tells nothing of the keys
        found = [caller for known, caller in self.known.items() if hmac.compare_digest(known, digest)]
        if not found:
            raise Refused(401, "a key is needed: Authorization: Bearer KEY, or X-API-Key: KEY")
        return found[0]


def may(caller: Caller, role: str) -> None:
    """Refused with 403 where the caller may not do what needs this role."""
    if ROLES.index(caller.role) < ROLES.index(role):
        raise Refused(403, f"the key {caller.name} may {caller.role}; this needs a key that may {role}")


def new_key(path: Path, role: str, name: str) -> str:
    """Add a key to the file, and return it; it is nowhere else. ValueError for a name that is taken, or a wrong
    role."""
    if role not in ROLES or not name.isprintable() or not name or " " in name:
        raise ValueError(f"a key is ROLE:NAME with a role of {', '.join(ROLES)} and a name without spaces")
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if any(caller.name == name for caller in (_read(path) if text else {}).values()):
        raise ValueError(f"{path} has a key called {name} already; delete its line first, or choose another name")
    key = secrets.token_urlsafe(32)
    write_atomic(path, f"{text}{role} {name} {_hash(key)}\n".encode())
    path.chmod(0o600)
    return key


def _hash(key: str) -> str:
    # keys are 256 random bits, so that a slow hash would protect nothing more
    return hashlib.sha256(key.encode()).hexdigest()


def _read(path: Path) -> dict[str, Caller]:
    if not path.is_file():
        raise ValueError(
            f"there is no key file {path}; make one with: zansa serve --key-file {path} --new-key admin:me"
        )
    found = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        words = line.split()
        if not words or line.startswith("#"):
            continue
        if len(words) != 3 or words[0] not in ROLES or len(words[2]) != 64:
            raise ValueError(f"{path}, line {number}, is no key: needed are a role, a name and a hash")
        found[words[2]] = Caller(words[0], words[1])
    if not found:
        raise ValueError(f"{path} has no key; add one with --new-key admin:me")
    return found
