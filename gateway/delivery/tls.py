"""The TLS side of a webhook: whom it trusts, and how it shows who it is."""

from __future__ import annotations

import ssl

from gateway.delivery.settings import Endpoint


def context(endpoint: Endpoint) -> ssl.SSLContext | None:
    """Returns the TLS settings of an endpoint; None where the usual ones do.

    Raises:
        OSError: A file cannot be read, or is no certificate or key.
    """
    if endpoint.tls_ca is None and endpoint.tls_certificate is None:
        return None
    made = ssl.create_default_context(cafile=None if endpoint.tls_ca is None else str(endpoint.tls_ca))
    if endpoint.tls_certificate is not None:
        made.load_cert_chain(endpoint.tls_certificate, endpoint.tls_key)
    return made
