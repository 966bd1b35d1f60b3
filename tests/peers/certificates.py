"""An authority of the test's own, and certificates that it signs (openssl)."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path


class Authority:
    """Makes certificates in a folder.

    Attributes:
        ca: The authority's own certificate.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.ca = folder / "ca.pem"
        whose = ("-subj", "/CN=Test Authority", "-days", "2", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        self._openssl("req", "-x509", *self._key("ca"), "-out", "ca.pem", *whose)

    def issue(self, name: str, *, alternative: str = "DNS:localhost,IP:127.0.0.1") -> tuple[Path, Path]:
        """Returns the files of a certificate with this common name and of its key, made anew each time."""
        self._openssl("req", *self._key(name), "-out", f"{name}.csr", "-subj", f"/CN={name}")
        # Python 3.13 takes no certificates without what RFC 5280, section 4.2.1, asks for
        extensions = f"subjectAltName={alternative}\nauthorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n"
        (self._folder / "extensions").write_text(extensions, encoding="utf-8")
        signing = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "extensions")
        self._openssl("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *signing)
        return self._folder / f"{name}.pem", self._folder / f"{name}.key"

    def context(self, client: str = "") -> ssl.SSLContext:
        """Returns what a client needs to trust the gateway, with a certificate of its own when it has a name."""
        context = ssl.create_default_context(cafile=str(self.ca))
        if client:
            context.load_cert_chain(*map(str, self.issue(client, alternative=f"DNS:{client}")))
        return context

    def _key(self, name: str) -> tuple[str, ...]:
        return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key")

    def _openssl(self, *arguments: str) -> None:
        done = subprocess.run(["openssl", *arguments], cwd=self._folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
