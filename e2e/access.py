"""How a cluster administrator's own HTTP client reaches the API server."""

from __future__ import annotations

import base64
import json
import ssl
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Access:
    """Where the API server is, and an administrator's certificate."""

    url: str
    tls: ssl.SSLContext

    @classmethod
    def read(cls, kubeconfig: Path, folder: Path) -> Access:
        """From a kubeconfig with the certificate in it; the files that TLS needs are written to the folder."""
        content = json.loads(kubeconfig.read_text())
        [cluster], [user] = content["clusters"], content["users"]
        files = {
            "admin.crt": user["user"]["client-certificate-data"],
            "admin.key": user["user"]["client-key-data"],
            "cluster-ca.crt": cluster["cluster"]["certificate-authority-data"],
        }
        for name, data in files.items():
            (folder / name).touch(mode=0o600)
            (folder / name).write_bytes(base64.b64decode(data))
        tls = ssl.create_default_context(cafile=str(folder / "cluster-ca.crt"))
        tls.load_cert_chain(folder / "admin.crt", folder / "admin.key")
        return cls(cluster["cluster"]["server"], tls)
