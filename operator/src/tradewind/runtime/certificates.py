"""The certificate of the report endpoint: made once at installation, kept in a Secret that the operator can't read."""

from __future__ import annotations

import base64
import logging
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tradewind.core.labels import MANAGED_BY, MANAGER
from tradewind.kube.client import Client
from tradewind.kube.errors import AlreadyExists

logger = logging.getLogger(__name__)

YEARS = 10


def make(names: list[str], now: datetime) -> dict[str, bytes]:
    """A certificate authority and a server certificate for these DNS names: ca.crt, tls.crt and tls.key in PEM.

    The authority's key is thrown away: it can't sign anything else.
    """
    authority_key, server_key = (ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1()))
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tradewind report endpoint")])
    start, end = now - timedelta(hours=1), now + timedelta(days=365 * YEARS)

    def builder(subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(end)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
            )
        )

    def usage(authority: bool) -> x509.KeyUsage:
        return x509.KeyUsage(
            digital_signature=not authority,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=authority,
            crl_sign=authority,
            encipher_only=False,
            decipher_only=False,
        )

    authority = (
        builder(issuer, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage(authority=True), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    server = (
        builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])]), server_key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    return {
        "ca.crt": authority.public_bytes(Encoding.PEM),
        "tls.crt": server.public_bytes(Encoding.PEM),
        "tls.key": server_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    }


def service_names(service: str, namespace: str) -> list[str]:
    """The DNS names of a Service inside a cluster."""
    return [f"{service}.{namespace}.svc", f"{service}.{namespace}.svc.cluster.local", f"{service}.{namespace}", service]


async def ensure(client: Client, namespace: str, service: str, secret: str) -> bool:
    """Create the Secret if there is none of that name; whether it was created. Raises `KubeError`."""
    files = make(service_names(service, namespace), datetime.now(UTC))
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": secret, "namespace": namespace, "labels": {MANAGED_BY: MANAGER}},
        "data": {name: base64.b64encode(content).decode() for name, content in files.items()},
    }
    try:
        await client.create("v1", "secrets", namespace, body)
    except AlreadyExists:
        logger.info("Secret %s/%s is there already", namespace, secret)
        return False
    logger.info("Secret %s/%s was made; its certificate is good for %d years", namespace, secret, YEARS)
    return True
