"""An OCI registry: blobs by digest, manifests by tag.

Source: the OCI Distribution Specification 1.1 (pull, push, monolithic upload). Plain requests rather than a client
library: `oras` reads Docker's configuration on its own, follows a registry's redirects with its credentials, writes
what it downloads before it checks it, and takes 0.3 s to import; what is needed of it are six requests.
"""

import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

from mlbot.core.record import Digest
from mlbot.transfer.digest import CHUNK, checked, take
from mlbot.transfer.oci_auth import Credentials
from mlbot.transfer.oci_http import Connection, PassingError, Place, Sized, network

__all__ = ["MANIFEST_TYPE", "Place", "Registry"]

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_ATTEMPTS = 4
_LONGEST_WAIT_S = 60.0

T = TypeVar("T")


class Registry:
    """One repository of a registry. Every call may be repeated, and is, where a fault may pass.

    Every method raises `NotEvaluatedError` when the registry does not do what it should, `RefusedError` when it does
    not let us.

    Args:
        place: The repository.
        credentials: Who asks.
        sleep: Waits so many seconds.
    """

    def __init__(
        self, place: Place, credentials: Credentials | None, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.place = place
        self._sleep = sleep
        self._api = Connection(place, credentials)

    def has_blob(self, digest: Digest) -> bool:
        """Whether there is a blob of that digest."""
        return self._patiently(
            lambda: self._api.ask("HEAD", f"/blobs/{digest}", expected=(200, 404)).status_code == 200
        )

    def put_blob(self, digest: Digest, size: int, content: Callable[[], Iterator[bytes]]) -> None:
        """Upload a blob, unless it is there.

        Args:
            digest: Of its bytes; the registry checks it.
            size: How many bytes.
            content: Gives the bytes from the start, each time it is called.
        """
        if not self.has_blob(digest):
            self._patiently(lambda: self._upload(digest, size, content))

    def fetch_blob(self, digest: Digest, size: int, target: Path) -> None:
        """Download a blob; it appears whole and verified, or not at all."""
        where = f"{self.place.url}@{digest}"
        self._patiently(lambda: take(self._stream(digest), target, digest, size=size, where=where))

    def verify_blob(self, digest: Digest, size: int) -> None:
        """Download a blob and check it, without keeping it."""

        def read() -> None:
            for _ in checked(self._stream(digest), digest, size=size, where=f"{self.place.url}@{digest}"):
                pass

        self._patiently(read)

    def manifest(self, tag: str) -> bytes | None:
        """The manifest behind a tag; None where there is none."""

        def read() -> bytes | None:
            answer = self._api.ask("GET", f"/manifests/{tag}", expected=(200, 404), headers={"Accept": MANIFEST_TYPE})
            return self._api.body(answer) if answer.status_code == 200 else None

        return self._patiently(read)

    def put_manifest(self, tag: str, content: bytes) -> Digest:
        """Move a tag to a manifest, in one step.

        Returns:
            The manifest's digest. A tag can be moved again by whoever may write; a digest cannot.
        """
        headers = {"Content-Type": MANIFEST_TYPE}
        self._patiently(
            lambda: self._api.ask("PUT", f"/manifests/{tag}", expected=(201,), headers=headers, body=lambda: content)
        )
        return f"sha256:{sha256(content).hexdigest()}"

    def _upload(self, digest: Digest, size: int, content: Callable[[], Iterator[bytes]]) -> None:
        begun = self._api.ask("POST", "/blobs/uploads/", expected=(202,), headers={"Content-Length": "0"})
        location = urljoin(f"{self.place.base}/", begun.headers.get("Location", ""))
        address = f"{location}{'&' if urlsplit(location).query else '?'}digest={digest}"
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        self._api.ask("PUT", address, expected=(201,), headers=headers, body=lambda: Sized(content(), size))

    def _stream(self, digest: Digest) -> Iterator[bytes]:
        answer = self._api.ask("GET", f"/blobs/{digest}", expected=(200,))
        with network(self.place.url), answer:
            while chunk := answer.raw.read(CHUNK, decode_content=False):
                yield chunk

    def _patiently(self, work: Callable[[], T]) -> T:
        for attempt in range(1, _ATTEMPTS):
            try:
                return work()
            except PassingError as error:
                self._sleep(min(_LONGEST_WAIT_S, error.seconds or 0.5 * 2**attempt))
        return work()
