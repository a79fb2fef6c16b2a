"""An OCI registry: blobs by digest, manifests by tag, and the manifest of a model.

Source: the OCI Distribution Specification 1.1 (pull, push, monolithic upload). Plain requests rather than a client
library: `oras` reads Docker's configuration on its own, follows a registry's redirects with its credentials, writes
what it downloads before it checks it, and takes 0.3 s to import; what is needed of it are six requests.
"""

import base64
import json
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeVar
from urllib.parse import urljoin, urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mlbot.errors import NotEvaluatedError, RefusedError, UsageError
from mlbot.lib.artifact import ANY_FILE, Listing, Member, Unfit, UnfitError
from mlbot.lib.record import Digest, FileDigest, Record, canonical, digest
from mlbot.lib.untrusted_json import HostileJsonError, load
from mlbot.storage.artifact import lay_out
from mlbot.storage.digest import CHUNK, checked, chunks_of, other_bytes, take

if TYPE_CHECKING:
    from requests import PreparedRequest, Response


# Who mlbot is to a registry: the job's token for GitHub's, what `docker login` left for all others.

GITHUB = "ghcr.io"
_HELPER = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")
_PAIR = re.compile(r'([A-Za-z]+)="([^"\x00-\x1f]{0,2000})"')
_HELPER_S = 30
_TOKENS = ("MLBOT_TOKEN", "GITHUB_TOKEN", "GH_TOKEN")
_MOST_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """A name and a secret."""

    username: str
    password: str = field(repr=False)

    @property
    def basic(self) -> str:
        """As an `Authorization` header."""
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Challenge:
    """What a registry asks for in its `WWW-Authenticate` header: the password itself, or a token from a realm."""

    basic: bool
    realm: str = ""
    query: Mapping[str, str] = field(default_factory=dict)


def read_challenge(header: str) -> Challenge | None:
    """A `WWW-Authenticate` header; None for one that asks for something else."""
    scheme, _, rest = header.strip().partition(" ")
    fields = {name.lower(): value for name, value in _PAIR.findall(rest[:8000])}
    if scheme.lower() == "basic":
        return Challenge(basic=True)
    if scheme.lower() != "bearer" or not fields.get("realm"):
        return None
    query = {name: fields[name] for name in ("service", "scope") if fields.get(name)}
    return Challenge(basic=False, realm=fields["realm"], query=query)


def read_token(body: bytes, where: str) -> str:
    """The token in an answer of a realm; raises `NotEvaluatedError` when there is none."""
    try:
        answer = load(body, "the answer", most_bytes=_MOST_BYTES)
    except HostileJsonError:
        answer = None
    fields = answer if isinstance(answer, dict) else {}
    token = fields.get("token") or fields.get("access_token")
    if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]{1,65536}", token):
        raise NotEvaluatedError("the registry's login gave no token", where=where)
    return token


def find_credentials(
    host: str, token: str | None, environment: Mapping[str, str] = os.environ, run: "Run | None" = None
) -> Credentials | None:
    """Who mlbot is to a registry (`token` is for GitHub's alone); None: anybody."""
    if host == GITHUB and token:
        return Credentials(username="mlbot", password=token)
    folder = environment.get("DOCKER_CONFIG") or str(Path(environment.get("HOME", "~")).expanduser() / ".docker")
    config = _config(Path(folder) / "config.json")
    helper = _helper(config, host)
    if helper is not None:
        return _from_helper(helper, host, run or _run)
    return _from_auths(config, host) or (_of_the_environment(environment) if host == GITHUB else None)


def _of_the_environment(environment: Mapping[str, str]) -> Credentials | None:
    """A person's token, for whoever has not logged in by `docker login`."""
    token = next((environment[name] for name in _TOKENS if environment.get(name)), None)
    return Credentials(username="mlbot", password=token) if token else None


Run = Callable[[str, str], bytes | None]
"""Runs `docker-credential-<name> get` with a host on its standard input; None when it has nothing."""


def _config(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes()[:_MOST_BYTES])
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _helper(config: Mapping[str, Any], host: str) -> str | None:
    helpers = config.get("credHelpers")
    name = helpers.get(host) if isinstance(helpers, dict) else None
    name = name or config.get("credsStore")
    return name if isinstance(name, str) and _HELPER.fullmatch(name) else None


def _from_helper(name: str, host: str, run: Run) -> Credentials | None:
    raw = run(name, host)
    if raw is None:
        return None
    try:
        answer = json.loads(raw)
        return Credentials(username=str(answer["Username"]), password=str(answer["Secret"]))
    except (ValueError, KeyError, TypeError):
        raise RefusedError(f"docker-credential-{name} gave no credentials that can be read", where=host) from None


def _run(name: str, host: str) -> bytes | None:
    try:
        done = subprocess.run(
            [f"docker-credential-{name}", "get"],
            input=host.encode(),
            capture_output=True,
            timeout=_HELPER_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _from_auths(config: Mapping[str, Any], host: str) -> Credentials | None:
    auths = config.get("auths")
    entry = auths.get(host) or auths.get(f"https://{host}") if isinstance(auths, dict) else None
    encoded = entry.get("auth") if isinstance(entry, dict) else None
    if not isinstance(encoded, str):
        return None
    try:
        username, found, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return None
    return Credentials(username=username, password=password.rstrip("\x00")) if found else None


# The conversation with a registry: where it is, who asks, what its answers mean.

MOST_MANIFEST = 4 << 20  # the largest that registries take
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?")
_TIMEOUT = (15.0, 120.0)
_HOPS = 4
_NO_ENCODING = {"Accept-Encoding": "identity"}
_CODE = re.compile(rb'"code"\s*:\s*"([A-Z_]{1,40})"')


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A repository of a registry: a host with its port, and a name in lower case, as every registry wants it."""

    host: str
    repository: str

    @classmethod
    def of(cls, url: str) -> "Place":
        """Read `oci://host/repository`."""
        host, _, repository = url.partition("://")[2].rstrip("/").partition("/")
        repository = repository.lower()
        if not _HOST.fullmatch(host) or not _REPOSITORY.fullmatch(repository) or len(repository) > 200:
            raise UsageError(
                "it is no registry and repository", where=url, hint="Write it as oci://ghcr.io/owner/repository/models."
            )
        return cls(host=host.lower(), repository=repository)

    @property
    def url(self) -> str:
        """As mlbot.yaml has it."""
        return f"oci://{self.host}/{self.repository}"

    @property
    def base(self) -> str:
        """Where its API is: by HTTPS, but for this machine."""
        return f"{'http' if is_loopback(self.host) else 'https'}://{self.host}/v2/{self.repository}"

    def inside(self, name: str) -> "Place":
        """A repository below this one."""
        if not re.fullmatch(_PART, name.lower()):
            raise UsageError(
                f"{name} cannot be the name of a repository",
                where=self.url,
                hint="Registries take letters and digits with single dots, underscores or dashes between them.",
            )
        return Place(host=self.host, repository=f"{self.repository}/{name.lower()}")


class Connection:
    """Sends requests to one repository's API; logs in when asked to."""

    def __init__(self, place: Place, credentials: Credentials | None) -> None:
        import requests

        self.place = place
        self._credentials = credentials
        self._authorizations: dict[bool, str] = {}
        self._session = requests.Session()

    def ask(
        self,
        method: str,
        path: str,
        *,
        expected: tuple[int, ...],
        headers: Mapping[str, str] | None = None,
        body: Callable[[], Any] = lambda: None,
    ) -> "Response":
        """Send a request; log in when asked to, and follow where it leads. Each call of `body` gives it anew.

        Raises:
            PassingError: Worth another attempt.
            RefusedError: It does not let us.
            NotEvaluatedError: Any status that is not expected.
        """
        address = self.place.base + path if path.startswith("/") else path
        writes, logged_in = method not in {"GET", "HEAD"}, False
        for _ in range(_HOPS):
            authorization = self._authorizations.get(writes, "") if self._is_own(address) else ""
            answer = self._send(method, address, {**(headers or {}), **_NO_ENCODING}, authorization, body)
            if answer.status_code == 401 and not logged_in and self._is_own(address):
                self._authorizations[writes] = self._log_in(answer.headers.get("WWW-Authenticate", ""), writes=writes)
                logged_in = True
            elif answer.is_redirect and not writes:
                address = urljoin(address, answer.headers["Location"])
            elif answer.status_code in expected:
                if method != "GET":
                    answer.close()
                return answer
            else:
                raise self._failure(method, answer)
        raise NotEvaluatedError("the registry sends from one address to the next", where=self.place.url)

    def _send(
        self, method: str, address: str, headers: Mapping[str, str], authorization: str, body: Callable[[], Any]
    ) -> "Response":
        parts = urlsplit(address)
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.netloc)):
            raise NotEvaluatedError("the registry leads to an address that is not HTTPS", where=self.place.url)
        with network(self.place.url):
            return self._session.request(
                method,
                address,
                headers=dict(headers),
                data=body(),
                auth=_Header(authorization),
                stream=True,
                allow_redirects=False,
                timeout=_TIMEOUT,
            )

    def _log_in(self, header: str, *, writes: bool) -> str:
        """The `Authorization` header for what a registry asks.

        To write, the right to push is asked for in so many words: GitHub's registry names reading alone in whatever
        it asks.
        """
        challenge = read_challenge(header)
        if challenge is None or (challenge.basic and self._credentials is None):
            raise self._denied()
        if challenge.basic and self._credentials is not None:
            return self._credentials.basic
        self._check_realm(challenge.realm)
        scope = {"scope": f"repository:{self.place.repository}:pull,push"} if writes else {}
        with network(self.place.url):
            answer = self._session.get(
                challenge.realm,
                params={**challenge.query, **scope},
                auth=_Header(self._credentials.basic if self._credentials else ""),
                allow_redirects=False,
                stream=True,
                timeout=_TIMEOUT,
            )
        if answer.status_code in {401, 403}:
            raise self._denied()
        if answer.status_code != 200:
            raise self._failure("login", answer)
        return f"Bearer {read_token(self.body(answer), self.place.url)}"

    def _check_realm(self, realm: str) -> None:
        """Credentials go by HTTPS; GitHub's token goes to GitHub's registry alone."""
        parts = urlsplit(realm)
        if parts.scheme != "https" and not (is_loopback(self.place.host) and is_loopback(parts.netloc)):
            raise NotEvaluatedError("the registry's login is not by HTTPS", where=self.place.url)
        if self.place.host == GITHUB and parts.netloc != GITHUB:
            raise NotEvaluatedError("the registry's login is elsewhere", where=self.place.url)

    def _is_own(self, address: str) -> bool:
        return urlsplit(address)[:2] == urlsplit(self.place.base)[:2]

    def body(self, answer: "Response") -> bytes:
        """An answer's body, of at most `MOST_MANIFEST` bytes."""
        with network(self.place.url), answer:
            body: bytes = answer.raw.read(MOST_MANIFEST + 1, decode_content=True)
        if len(body) > MOST_MANIFEST:
            raise NotEvaluatedError("the registry's answer is too long", where=self.place.url)
        return body

    def _failure(self, method: str, answer: "Response") -> Exception:
        status = answer.status_code
        codes = b" ".join(_CODE.findall(self.body(answer))).decode()
        what = f"the registry answered {status} to {method}{f' ({codes})' if codes else ''}"
        if status in {401, 403}:
            return self._denied()
        if status == 429 or status >= 500:
            return PassingError(what, self.place.url, _seconds(answer.headers.get("Retry-After", "")))
        return NotEvaluatedError(what, where=self.place.url)

    def _denied(self) -> RefusedError:
        who = "the token" if self._credentials else "nobody in particular: no credentials were found"
        return RefusedError(
            f"the registry does not let us; it was asked as {who}",
            where=self.place.url,
            hint="On GitHub the job needs `packages: write` (to read: `packages: read`), and the package has to give "
            "this repository access. Elsewhere run `docker login`.",
        )


class PassingError(NotEvaluatedError):
    """A fault that another attempt may not meet."""

    def __init__(self, what: str, where: str, seconds: float = 0.0) -> None:
        super().__init__(what, where=where, hint="Run it again: nothing is done twice.")
        self.seconds = seconds


class _Header:
    """Sets the header, or none: left alone, requests would look for a password in the machine's .netrc."""

    def __init__(self, authorization: str) -> None:
        self._authorization = authorization

    def __call__(self, request: "PreparedRequest") -> "PreparedRequest":
        if self._authorization:
            request.headers["Authorization"] = self._authorization
        return request


class Sized:
    """Bytes whose number is known, so that they are not sent in chunks, which some registries refuse."""

    def __init__(self, chunks: Iterator[bytes], size: int) -> None:
        self._chunks = chunks
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks


def is_loopback(netloc: str) -> bool:
    """Whether an address is of this machine, by its look alone."""
    host = urlsplit(f"//{netloc}").hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _seconds(text: str) -> float:
    return float(text) if re.fullmatch(r"[0-9]{1,6}", text) else 0.0


@contextmanager
def network(where: str) -> Iterator[None]:
    """A connection that broke is worth another attempt."""
    from requests import RequestException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except (RequestException, HTTPError, ConnectionError, TimeoutError) as error:
        raise PassingError(f"the connection broke off ({type(error).__name__})", where) from error


MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_ATTEMPTS = 4
_LONGEST_WAIT_S = 60.0
T = TypeVar("T")


class Registry:
    """One repository of a registry. Every call may be repeated, and is, where a fault may pass.

    Every method raises `NotEvaluatedError` when the registry does not do what it should, `RefusedError` when it does
    not let us.
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
        """Upload a blob, unless it is there; `content` gives its bytes from the start, each time it is called."""
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
        """Move a tag to a manifest, in one step. Others can move the tag again; the digest returned stays."""
        headers = {"Content-Type": MANIFEST_TYPE}
        self._patiently(
            lambda: self._api.ask("PUT", f"/manifests/{tag}", expected=(201,), headers=headers, body=lambda: content)
        )
        return digest(content)

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


# The manifest of a model, to and from a registry: what the store and the target have in common.

ARTIFACT_TYPE = "application/vnd.cncf.model.manifest.v1+json"
CONFIG_TYPE = "application/vnd.cncf.model.config.v1+json"
WEIGHT_TYPE = "application/vnd.cncf.model.weight.v1.raw"
DOCUMENT_TYPE = "application/vnd.cncf.model.doc.v1.raw"
FILE_PATH = "org.cncf.model.filepath"

TITLE = "org.opencontainers.image.title"  # what `oras pull` calls the file
MODEL, VERSION = "dev.mlbot.model", "org.opencontainers.image.version"
FOLDER, EXECUTABLE = "dev.mlbot.folder", "dev.mlbot.executable"


class Packed(FileDigest):
    """A file or folder as a manifest names it."""

    name: str


class ModelManifest(Record):
    """What a manifest says of its file or folder."""

    file: Packed
    members: tuple[Member, ...] = ()  # of a folder: each is a layer
    model: str = ""
    version: str = ""

    @classmethod
    def of(cls, found: FileDigest | Listing, name: str, model: str = "", version: str = "") -> Self:
        """What the manifest of a file, or of a folder with this listing, is to say."""
        members = found.members if isinstance(found, Listing) else ()
        file = Packed(name=name, digest=found.digest, size_bytes=found.size_bytes)
        return cls(file=file, members=members, model=model, version=version)

    @property
    def blobs(self) -> dict[Digest, int]:
        """The size of each different layer by its digest."""
        files = self.members or (self.file,)
        return {each.digest: each.size_bytes for each in files}

    @property
    def annotations(self) -> dict[str, str]:
        """What it says of the model beside its bytes."""
        return {key: value for key, value in ((MODEL, self.model), (VERSION, self.version)) if value}


def config_of(file: Packed, layers: Iterable[FileDigest], annotations: Mapping[str, str]) -> bytes:
    """The manifest's config: what is known of the model."""
    descriptor = {
        key: annotations[name] for key, name in (("name", MODEL), ("version", VERSION)) if annotations.get(name)
    }
    about = {"format": "onnx"} if file.name.endswith(".onnx") else {}
    modelfs = {"type": "layers", "diffIds": [each.digest for each in layers]}
    return canonical({"descriptor": descriptor, "modelfs": modelfs, "config": about}).encode()


def manifest_of(file: Packed, members: tuple[Member, ...], config: bytes, annotations: Mapping[str, str]) -> bytes:
    """The manifest of a file, or of a folder with these members: a raw layer each."""
    single = (Member(path=file.name, digest=file.digest, size_bytes=file.size_bytes),)
    kind = WEIGHT_TYPE if is_model(file.name) or members else DOCUMENT_TYPE
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": ARTIFACT_TYPE,
        "config": {"mediaType": CONFIG_TYPE, "digest": digest(config), "size": len(config)},
        "layers": [_layer(each, kind) for each in members or single],
        "annotations": {**annotations, **({FOLDER: file.digest} if members else {})},
    }
    return canonical(manifest).encode()


def _layer(member: Member, kind: str) -> dict[str, object]:
    executable = {EXECUTABLE: "true"} if member.executable else {}
    return {
        "mediaType": kind,
        "digest": member.digest,
        "size": member.size_bytes,
        "annotations": {FILE_PATH: member.path, TITLE: member.path, **executable},
    }


def read_manifest(content: bytes, where: str) -> ModelManifest:
    """What a manifest of a model says, of one file or of a folder; nothing of it is believed beyond its form."""
    try:
        load(content, "the manifest", most_bytes=MOST_MANIFEST)
        manifest = _Manifest.model_validate_json(content)
        notes = manifest.annotations
        members = tuple(each.member for each in manifest.layers)
        model, version = notes.get(MODEL, ""), notes.get(VERSION, "")
        if len(members) == 1 and FOLDER not in notes:
            (only,) = members
            return ModelManifest.of(only, only.path, model, version)
        return ModelManifest.of(Listing.of(members), ANY_FILE, model, version)
    except (HostileJsonError, ValidationError, ValueError):
        raise NotEvaluatedError("the manifest is none that mlbot wrote", where=where) from None


def is_model(name: str) -> bool:
    """Whether a file is a model rather than a document about one."""
    return name.endswith(".onnx") or name == ANY_FILE


class _Open(BaseModel):
    """Others may add to it."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class _Layer(_Open):
    digest: Digest
    size: Annotated[int, Field(ge=0, le=1 << 40)]
    annotations: dict[str, str] = {}

    @property
    def member(self) -> Member:
        """The file that it is."""
        path = self.annotations.get(FILE_PATH) or self.annotations.get(TITLE) or ""
        executable = self.annotations.get(EXECUTABLE) == "true"
        return Member(path=path, digest=self.digest, size_bytes=self.size, executable=executable)


class _Manifest(_Open):
    layers: tuple[_Layer, ...]
    annotations: dict[str, str] = {}


def push(registry: Registry, path: Path, of: ModelManifest, tag: str) -> Digest:
    """Upload a file or folder, and its manifest last: until then the tag stays as it is. The manifest's digest."""
    files = {each.digest: path / each.path for each in of.members} or {of.file.digest: path}
    config = config_of(of.file, of.members or (of.file,), of.annotations)
    manifest = manifest_of(of.file, of.members, config, of.annotations)
    if len(manifest) > MOST_MANIFEST:
        hint = "Put small files into one, a tar or zip archive: a registry's manifest names each."
        raise RefusedError(f"the folder has too many files for a registry: {len(of.members):,}", hint=hint)
    for found, size in of.blobs.items():
        registry.put_blob(found, size, partial(chunks_of, files[found]))
    registry.put_blob(digest(config), len(config), lambda: iter((config,)))
    for found, size in of.blobs.items():
        registry.verify_blob(found, size)
    return registry.put_manifest(tag, manifest)


def fetch(registry: Registry, manifest: ModelManifest, target: Path) -> None:
    """Download a manifest's file or folder; it appears whole and verified, or not at all."""
    if not manifest.members:
        registry.fetch_blob(manifest.file.digest, manifest.file.size_bytes, target)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".mlbot-", dir=target.parent) as temporary:

        def content(each: Member) -> Iterator[bytes]:
            part = Path(temporary) / "part"
            registry.fetch_blob(each.digest, each.size_bytes, part)
            return chunks_of(part)

        lay_out(Listing(manifest.members), target, content, where=registry.place.url)


def fetch_pinned(url: str, target: Path, most_bytes: int) -> str:
    """Download what a manifest names by its digest: `oci://host/repository@sha256:…`. What it is bound to.

    Raises:
        NotEvaluatedError: It is not there, or not what the digest names.
        UnfitError: It is too large.
    """
    place, _, pin = url.rpartition("@")
    registry = Registry(Place.of(place), find_credentials(Place.of(place).host, None))
    content = registry.manifest(pin)
    if content is None:
        raise NotEvaluatedError("there is no such manifest", where=url)
    if digest(content) != pin.lower():
        raise other_bytes(url, f"the manifest has the digest {digest(content)}")
    manifest = read_manifest(content, url)
    if manifest.file.size_bytes > most_bytes:
        what = f"it is larger than allowed: {manifest.file.size_bytes:,} bytes, at most {most_bytes:,}"
        raise UnfitError(Unfit.TOO_LARGE, what)
    fetch(registry, manifest, target)
    return f"manifest {pin.lower()}"


def manifest_at(registry: Registry, tag: str) -> tuple[bytes, ModelManifest] | None:
    """The manifest behind a tag, and what it says; None where there is none."""
    content = registry.manifest(tag)
    return None if content is None else (content, read_manifest(content, f"{registry.place.url}:{tag}"))
