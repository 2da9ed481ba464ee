"""The simulators' own certificate authority: one CA and one leaf, made at the first start."""

import datetime as dt
import ipaddress
import os
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

#: Every name a sender may dial; the wildcard is what a WNS channel URI is made of.
HOST_NAMES = (
    "localhost",
    "api.push.apple.com",
    "api.sandbox.push.apple.com",
    "api.development.push.apple.com",
    "fcm.googleapis.com",
    "oauth2.googleapis.com",
    "login.live.com",
    "login.microsoftonline.com",
    "notify.windows.com",
    "*.notify.windows.com",
)
ADDRESSES = ("127.0.0.1", "::1")
LIFETIME = dt.timedelta(days=365)
#: A certificate this close to its end is replaced at start: a long demo must not outlive it.
RENEW_BEFORE = dt.timedelta(days=1)
#: Certificates are back-dated a little: a client's clock may run behind.
BACKDATE = dt.timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """Where the certificates are; `ca_file` is what clients trust."""

    ca_file: Path
    chain_file: Path

    def context(self, protocols: list[str]) -> ssl.SSLContext:
        """A server context that offers the given ALPN protocols."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.chain_file)
        context.set_alpn_protocols(protocols)
        return context


def open_authority(directory: Path) -> Authority:
    """The certificates in `directory`, made when missing, broken or near their end."""
    authority = Authority(ca_file=directory / "ca.pem", chain_file=directory / "server.pem")
    if not _usable(authority):
        _make(authority)
    return authority


def write_private(path: Path, content: bytes) -> None:
    """Write a file only its owner can read, whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    draft.replace(path)


def _usable(authority: Authority) -> bool:
    try:
        ca = x509.load_pem_x509_certificate(authority.ca_file.read_bytes())
        chain = authority.chain_file.read_bytes()
        leaf = x509.load_pem_x509_certificate(chain)
        serialization.load_pem_private_key(chain, password=None)
        leaf.verify_directly_issued_by(ca)
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    fresh_until = dt.datetime.now(dt.UTC) + RENEW_BEFORE
    return leaf.not_valid_after_utc > fresh_until and set(HOST_NAMES) <= set(
        names.get_values_for_type(x509.DNSName)
    )


def _make(authority: Authority) -> None:
    ca_key, leaf_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca_name, leaf_name = _name("pushsvc simulators CA"), _name("pushsvc simulators")
    ca = (
        _certificate(subject=ca_name, issuer=ca_name, key=ca_key, signer=ca_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    leaf = (
        _certificate(subject=leaf_name, issuer=ca_name, key=leaf_key, signer=ca_key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(_alternative_names(), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = leaf_key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    # The CA's key is not kept: nobody can sign anything more under a CA that people trust by hand.
    write_private(authority.chain_file, leaf.public_bytes(pem) + ca.public_bytes(pem) + secret)
    authority.ca_file.write_bytes(ca.public_bytes(pem))


def _certificate(
    *,
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    signer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(signer_id, critical=False)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _alternative_names() -> x509.SubjectAlternativeName:
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in HOST_NAMES]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in ADDRESSES]
    return x509.SubjectAlternativeName(names)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
