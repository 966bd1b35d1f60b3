"""Where the stack listens: UDP, TCP and TLS, and who is at the other end of a TLS connection."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from gateway.sip.stack import StartError, pj, reason

OLD_OPENSSL = "the quick pjsua2 from PyPI carries OpenSSL 1.0.2, which gets no fixes since 2019"


class Transports:
    """The listeners.

    Args:
        endpoint: The stack.
        advertise: Address for Contact and Via where it differs from the bound one; empty for none.
        tls: ``certificate`` and ``key``, and ``ca`` where clients must show a certificate: paths of PEM files.
        build: ``trial`` or ``work``.
    """

    def __init__(self, endpoint: Any, advertise: str, tls: dict[str, str], build: str) -> None:
        self._endpoint = endpoint
        self._advertise = advertise
        self._tls = tls
        self._build = build
        self._secure: dict[int, str] = {}
        self._subjects: dict[str, list[str]] = {}

    def listen(self, where: str) -> str:
        """Starts listening.

        Args:
            where: As ``udp:ADDRESS:PORT``.

        Returns:
            Where it listens, the port filled in.

        Raises:
            StartError: The address cannot be had, or TLS cannot be offered.
        """
        transport, _, rest = where.partition(":")
        address, _, port = rest.rpartition(":")
        config = pj.TransportConfig()
        config.boundAddress, config.port = address.strip("[]"), int(port)
        config.publicAddress = self._advertise
        if transport == "tls":
            self._secured(config.tlsConfig, where)
        kind = {
            ("udp", False): pj.PJSIP_TRANSPORT_UDP,
            ("udp", True): pj.PJSIP_TRANSPORT_UDP6,
            ("tcp", False): pj.PJSIP_TRANSPORT_TCP,
            ("tcp", True): pj.PJSIP_TRANSPORT_TCP6,
            ("tls", False): pj.PJSIP_TRANSPORT_TLS,
            ("tls", True): pj.PJSIP_TRANSPORT_TLS6,
        }[transport, address.startswith("[")]
        try:
            identity = self._endpoint.transportCreate(kind, config)
        except pj.Error as error:
            raise StartError(
                f"cannot listen at {where}: {error.reason}; stop what uses the port, or change sip.listen"
            ) from error
        bound = self._endpoint.transportGetInfo(identity).localAddress
        listening = f"{transport}:{address}:{bound.rpartition(':')[2]}"
        if transport == "tls":
            self._secure[identity] = listening
        return listening

    def reload(self) -> None:
        """Reads certificate and key anew; connections that stand are not touched.

        Raises:
            StartError: They cannot be used; the old ones stay in use.
        """
        if self._secure:
            check(self._tls)
        for identity, where in list(self._secure.items()):
            # the stack reads the files when a listener is made; it closes no connection with a listener
            self._endpoint.transportClose(identity)
            del self._secure[identity]
            self.listen(where)

    def changed(self, prm: Any) -> None:
        """Takes note of a TLS connection that came up or went down."""
        if not prm.type.upper().startswith("TLS") or prm.tlsInfo.isEmpty():
            return
        remote = prm.tlsInfo.remoteAddr
        if prm.state == pj.PJSIP_TP_STATE_CONNECTED:
            certificate = prm.tlsInfo.remoteCertInfo
            if self._tls.get("ca") and not certificate.isEmpty() and prm.tlsInfo.verifyStatus == 0:
                names = [certificate.subjectCn, *(name.name for name in certificate.subjectAltName)]
                self._subjects[remote] = [name for name in names if name]
        elif prm.state in (pj.PJSIP_TP_STATE_DISCONNECTED, pj.PJSIP_TP_STATE_SHUTDOWN, pj.PJSIP_TP_STATE_DESTROY):
            self._subjects.pop(remote, None)

    def subjects(self, source: str) -> list[str]:
        """Returns the names in the verified certificate of a TLS connection, by its far end ``address:port``."""
        return self._subjects.get(source, [])

    def _secured(self, config: Any, where: str) -> None:
        if self._build == "trial":
            raise StartError(f"cannot listen at {where}: {OLD_OPENSSL}; build the one for work: make pjsip")
        check(self._tls)
        config.certFile, config.privKeyFile = self._tls["certificate"], self._tls["key"]
        config.proto = pj.PJ_SSL_SOCK_PROTO_TLS1_2 | pj.PJ_SSL_SOCK_PROTO_TLS1_3
        if ca := self._tls.get("ca"):
            config.CaListFile = ca
            config.verifyClient = config.requireClientCert = config.verifyServer = True


def check(tls: dict[str, str]) -> None:
    """Reads certificate, key and CA as the stack will, which says little about what is wrong with them.

    Raises:
        StartError: Which file, and what is wrong with it.
    """
    certificate, key = tls.get("certificate", ""), tls.get("key", "")
    if not certificate or not key:
        raise StartError("a tls: address in sip.listen needs sip.tls.certificate and sip.tls.key")
    for name, path in tls.items():
        try:
            if path:
                Path(path).read_bytes()
        except OSError as error:
            raise StartError(f"sip.tls.{name}: {path}: {error.strerror}") from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, ValueError) as error:
        raise StartError(f"sip.tls.certificate and sip.tls.key do not fit together: {reason(error)}") from error
    if ca := tls.get("ca"):
        try:
            context.load_verify_locations(ca)
        except ssl.SSLError as error:
            raise StartError(f"sip.tls.ca: {ca}: {reason(error)}") from error
