"""What every connection asks of TLS."""

import ssl

from pushsvc.delivery.wire import client_context


def test_the_least_that_http2_wants() -> None:
    """TLS 1.2, no compression, no renegotiation, the peer verified by name (RFC 9113 9.2)."""
    context = client_context()
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_COMPRESSION
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
