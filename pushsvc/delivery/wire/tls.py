"""TLS for HTTP/2 (RFC 9113 section 9.2): 1.2 or later, ALPN h2, the peer verified."""

import ssl

ALPN = "h2"


def client_context(
    ca_file: str | None = None,
    *,
    certificate_file: str | None = None,
    key_file: str | None = None,
    key_password: str | None = None,
) -> ssl.SSLContext:
    """A context that trusts the system's authorities, or only those of `ca_file` (PEM).

    A client certificate (PEM, with its key in the same file or in `key_file`) is presented
    when one is given.

    Raises:
        OSError: a file cannot be read; ssl.SSLError, which is one, when it is not PEM, when the
            password does not open the key, or the key is another certificate's.
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols([ALPN])
    if certificate_file is not None:
        # Given no password at all, OpenSSL asks for one at the terminal, and waits.
        context.load_cert_chain(certificate_file, key_file, key_password or "")
    return context
