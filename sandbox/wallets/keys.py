"""RSA keys of both sides of a wallet's wire, made once and kept in a folder where the shop finds its own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa


@dataclass(frozen=True, slots=True)
class Pair:
    """A private key and its public half, both PEM (PKCS#8, SubjectPublicKeyInfo)."""

    private: str
    public: str


@cache
def pair(name: str) -> Pair:
    """The pair of this name: one for each in a process."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return Pair(private.decode(), public.decode())


@cache
def signer(private: str) -> Any:
    """The RSA key of this PEM text, read once: that checks it, which takes a tenth of a second."""
    return serialization.load_pem_private_key(private.encode(), None)


def kept(folder: Path, name: str) -> Pair:
    """The pair of this name in the folder, made when it is not there; ``name.pem`` and ``name.pub.pem``."""
    private, public = folder / f"{name}.pem", folder / f"{name}.pub.pem"
    if not private.exists():
        folder.mkdir(parents=True, exist_ok=True)
        made = pair(name)
        public.write_text(made.public)
        private.touch(mode=0o600)
        private.write_text(made.private)
    return Pair(private.read_text(), public.read_text())
