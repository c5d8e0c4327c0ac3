"""Certificates of a cluster, made with openssl."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster.progress import run

_DAYS = "3650"
# Without a configuration of our own, that of the machine would add extensions of its own.
_CONFIGURATION = "[req]\ndistinguished_name = name\n[name]\n"


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, as files in PEM."""

    crt: Path
    key: Path


@dataclass(frozen=True)
class Authority:
    """A certificate authority that issues into one folder."""

    folder: Path
    own: Certificate

    @classmethod
    def create(cls, folder: Path, name: str) -> Authority:
        """Make a new authority."""
        folder.mkdir(parents=True, exist_ok=True)
        extensions = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,digitalSignature,keyCertSign,cRLSign")
        return cls(folder, _make(folder, name, f"/CN={name}", extensions))

    @classmethod
    def load(cls, folder: Path, name: str) -> Authority:
        """An authority made earlier."""
        return cls(folder, Certificate(folder / f"{name}.crt", folder / f"{name}.key"))

    def issue(self, name: str, user: str, groups: tuple[str, ...] = (), hosts: tuple[str, ...] = ()) -> Certificate:
        """Issue a certificate for a client, and with hosts (`DNS:...`, `IP:...`) also for a server."""
        extensions = ["basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature,keyEncipherment"]
        extensions.append(f"extendedKeyUsage=clientAuth{',serverAuth' if hosts else ''}")
        if hosts:
            extensions.append(f"subjectAltName={','.join(hosts)}")
        subject = "".join(f"/O={group}" for group in groups) + f"/CN={user}"
        return _make(self.folder, name, subject, tuple(extensions), self.own)


def _make(
    folder: Path, name: str, subject: str, extensions: tuple[str, ...], issuer: Certificate | None = None
) -> Certificate:
    made = Certificate(folder / f"{name}.crt", folder / f"{name}.key")
    configuration = folder / "openssl.cnf"
    configuration.write_text(_CONFIGURATION)
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        _DAYS,
    ]
    command += ["-config", str(configuration), "-subj", subject, "-keyout", str(made.key), "-out", str(made.crt)]
    for extension in extensions:
        command += ["-addext", extension]
    if issuer:
        command += ["-CA", str(issuer.crt), "-CAkey", str(issuer.key)]
    run(*command)
    return made


def kubeconfig(
    path: Path, url: str, ca: Path, certificate: Certificate | None = None, token: str = "", name: str = "tradewind"
) -> Path:
    """Write a kubeconfig with everything in it; it is JSON, which is YAML."""
    user = (
        {"token": token}
        if certificate is None
        else {
            "client-certificate-data": _encoded(certificate.crt),
            "client-key-data": _encoded(certificate.key),
        }
    )
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": url, "certificate-authority-data": _encoded(ca)}}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(content, indent=1))
    return path


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
