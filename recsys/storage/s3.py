"""A bucket as storage: compare-and-swap by If-Match and If-None-Match; address and keys from AWS_* variables."""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from recsys.errors import StorageError, SwapLost
from recsys.storage.address import require_tidy, web_address
from recsys.storage.protocol import PassedOver, Stored

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
    from botocore.response import StreamingBody

Read = TypeVar("Read")
VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
)
COPIED_AT_ONCE = 2**30
"""Bytes of one request to copy."""
MISSING = {"404", "NoSuchKey", "NotFound", "NoSuchUpload"}
LOST = {"412", "PreconditionFailed", "409", "ConditionalRequestConflict"}


class S3Storage:
    """Implements `Storage` on s3://bucket/prefix, with boto3 (endpoint: AWS_ENDPOINT_URL)."""

    def __init__(self, bucket: str, prefix: str = "") -> None:
        self.bucket = bucket
        self.prefix = f"{prefix}/" if prefix else ""

    @property
    def url(self) -> str:
        """s3://bucket/prefix."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    @cached_property
    def _client(self) -> Any:  # noqa: ANN401  boto3 builds its clients at run time
        import boto3
        from botocore.config import Config

        require_tidy(os.environ, VARIABLES)
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        address = web_address(endpoint, "AWS_ENDPOINT_URL") if endpoint else None
        # Standard retries cover lost connections; a 412 is an answer, never retried.
        # A session of its own: the default one keeps the credentials that this process met first.
        return boto3.session.Session().client(
            "s3",
            endpoint_url=address,
            config=Config(retries={"mode": "standard", "max_attempts": _attempts()}),
        )

    def _key(self, key: str) -> str:
        if not key or key.startswith("/") or ".." in key.split("/"):
            raise StorageError(f"key {key!r} leaves {self.url}", remedy="use a relative key without '..'")
        return self.prefix + key

    def list(self, prefix: str) -> list[Stored]:
        """Every object whose key starts with `prefix`, sorted by key."""
        if prefix:
            self._key(prefix)
        with self._explained(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self.prefix + prefix
            )
            found = [
                Stored(o["Key"].removeprefix(self.prefix), o["Size"], o["LastModified"], o["ETag"])
                for page in pages
                for o in page.get("Contents", [])
                if not o["Key"].endswith("/")
            ]
        return sorted(found, key=lambda stored: stored.key)

    def survey(self, prefix: str) -> tuple[tuple[Stored, ...], tuple[PassedOver, ...]]:
        """What `list` finds: a bucket holds nothing but objects."""
        return tuple(self.list(prefix)), ()

    def top(self) -> tuple[str, ...]:
        """Names at the root."""
        with self._explained(""):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self.prefix, Delimiter="/"
            )
            found = [
                one["Key"] if "Key" in one else one["Prefix"]
                for page in pages
                for one in (*page.get("Contents", []), *page.get("CommonPrefixes", []))
            ]
        return tuple(sorted(key.removeprefix(self.prefix) for key in found if key != self.prefix))

    def find(self, key: str) -> Stored | None:
        """The object as it is now, or None."""
        try:
            with self._explained(key):
                head = self._client.head_object(Bucket=self.bucket, Key=self._key(key))
        except _Missing:
            return None
        return Stored(key, head["ContentLength"], head["LastModified"], head["ETag"])

    def read(self, key: str) -> bytes:
        """The object's bytes."""
        found = self.read_tagged(key)
        if found is None:
            raise StorageError(f"{key} is not in {self.url}")
        return found[0]

    def read_tagged(self, key: str) -> tuple[bytes, str] | None:
        """Bytes and ETag of one version of the object, or None."""
        try:
            with self._explained(key):
                return self._downloaded(key, lambda body: body.read())
        except _Missing:
            return None

    def sha256(self, key: str) -> str:
        """SHA-256 of the object's bytes, downloaded chunk by chunk."""

        def digest(body: "StreamingBody") -> str:
            found = hashlib.sha256()
            for chunk in body.iter_chunks(1 << 20):
                found.update(chunk)
            return found.hexdigest()

        with self._explained(key):
            return self._downloaded(key, digest)[0]

    def _downloaded(self, key: str, read: Callable[["StreamingBody"], Read]) -> tuple[Read, str]:
        """What `read` makes of an object's bytes, and their ETag. boto3 repeats no download that was cut short."""
        from botocore.exceptions import HTTPClientError, IncompleteReadError

        for left in reversed(range(_attempts())):
            reply = self._client.get_object(Bucket=self.bucket, Key=self._key(key))
            try:
                return read(reply["Body"]), reply["ETag"]
            except (HTTPClientError, IncompleteReadError):
                if not left:
                    raise
        raise AssertionError("at least one attempt is made")

    def fetch(self, key: str, to: Path) -> None:
        """Download into a local file, atomically."""
        to.parent.mkdir(parents=True, exist_ok=True)
        temporary = to.parent / f".tmp-{uuid4().hex}"
        try:
            with self._explained(key):
                self._client.download_file(self.bucket, self._key(key), str(temporary))
            temporary.replace(to)
        finally:
            temporary.unlink(missing_ok=True)

    def write(self, key: str, content: bytes | Path) -> None:
        """Upload bytes, or a local file (in parts where it is large)."""
        with self._explained(key):
            if isinstance(content, Path):
                self._client.upload_file(str(content), self.bucket, self._key(key))
            else:
                self._client.put_object(Bucket=self.bucket, Key=self._key(key), Body=content)

    def swap(self, key: str, content: bytes, expected: str | None) -> None:
        """Conditional put; see `Storage.swap` about lost replies."""
        condition = {"IfNoneMatch": "*"} if expected is None else {"IfMatch": expected}
        with self._explained(key):
            self._client.put_object(Bucket=self.bucket, Key=self._key(key), Body=content, **condition)

    def move(self, key: str, to: str) -> None:
        """Copy, then delete; harmless when it was done before."""
        try:
            with self._explained(key):
                source = {"Bucket": self.bucket, "Key": self._key(key)}
                self._client.copy(source, self.bucket, self._key(to))
        except _Missing:
            if self.find(to) is None:
                raise
        self.delete(key)

    def take(self, key: str, tag: str, to: str) -> bool:
        """Copy the version with this tag, then delete it: both on the condition that it is still there."""
        try:
            found = self.find(key)
            if found is None:
                return self.find(to) is not None
            self._copy(key, tag, to, found.size)
        except _Missing:
            return self.find(to) is not None
        except SwapLost:
            return False
        with (
            suppress(SwapLost, _Missing),
            self._explained(key),
        ):  # a newer version came after the copy: it stays
            self._client.delete_object(Bucket=self.bucket, Key=self._key(key), IfMatch=tag)
        return True

    def _copy(self, key: str, tag: str, to: str, size: int) -> None:
        """Copy one version. S3 copies up to 5 GB in one request, larger objects in parts."""
        version = {"CopySource": {"Bucket": self.bucket, "Key": self._key(key)}, "CopySourceIfMatch": tag}
        target = {"Bucket": self.bucket, "Key": self._key(to)}
        with self._explained(key):
            if size <= COPIED_AT_ONCE:
                self._client.copy_object(**target, **version)
                return
            upload = {**target, "UploadId": self._client.create_multipart_upload(**target)["UploadId"]}
            try:
                parts = [
                    self._client.upload_part_copy(
                        **upload, **version, PartNumber=number, CopySourceRange=f"bytes={start}-{end}"
                    )["CopyPartResult"]
                    for number, (start, end) in enumerate(_ranges(size, COPIED_AT_ONCE), 1)
                ]
                tags = [{"PartNumber": number, "ETag": part["ETag"]} for number, part in enumerate(parts, 1)]
                self._client.complete_multipart_upload(**upload, MultipartUpload={"Parts": tags})
            except BaseException:
                with suppress(self._client.exceptions.NoSuchUpload):  # another copy has ended it
                    self._client.abort_multipart_upload(**upload)
                raise
        self._end_uploads(target)

    def _end_uploads(self, target: dict[str, str]) -> None:
        """End every upload in parts to a key that has its object now.

        Copies that were killed left them open, and they would be paid for until somebody finds them. A copy that is
        still at work loses its upload, and finds the object. What was copied is good whether or not this works: it may
        not be allowed, or not be known to this kind of store.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        with suppress(ClientError, BotoCoreError):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=target["Bucket"], Prefix=target["Key"]
            )
            uploads = [
                one["UploadId"]
                for page in pages
                for one in page.get("Uploads", [])
                if one["Key"] == target["Key"]
            ]
            for one in uploads:
                with suppress(self._client.exceptions.NoSuchUpload):
                    self._client.abort_multipart_upload(**target, UploadId=one)

    def delete(self, key: str) -> None:
        """Remove the object if it is there."""
        with self._explained(key):
            self._client.delete_object(Bucket=self.bucket, Key=self._key(key))

    @contextmanager
    def _explained(self, key: str) -> Iterator[None]:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            raise self._translated(key, error) from error
        except (BotoCoreError, Boto3Error) as error:  # the latter: an upload or download in parts that failed
            remedy = "check AWS_ENDPOINT_URL, the credentials and the network"
            raise StorageError(f"{key} in {self.url}: {error}", remedy=remedy) from error

    def _translated(self, key: str, error: "ClientError") -> StorageError:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in LOST:
            return SwapLost(f"{key} in {self.url} was changed by somebody else")
        kind = _Missing if code in MISSING else StorageError
        return kind(f"{key} in {self.url}: {error}", remedy="check the bucket's name and the credentials")


def _ranges(size: int, most: int) -> Iterator[tuple[int, int]]:
    """First and last byte of each part."""
    for start in range(0, size, most):
        yield start, min(size, start + most) - 1


def _attempts() -> int:
    """How often a request is made at most."""
    return max(1, int(os.environ.get("AWS_MAX_ATTEMPTS", "5")))


class _Missing(StorageError):
    """The object is not there."""
