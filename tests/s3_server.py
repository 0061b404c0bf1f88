"""A real S3 server for tests (SeaweedFS): started on free ports, and made to fail in the ways that servers do.

It checks signatures. Everything here blocks, for the moments that it takes.
"""

import contextlib
import functools
import os
import signal
import socket
import subprocess
import sysconfig
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from tests.processes import end

START_TIMEOUT_S: Final = 90.0
POLL_S: Final = 0.05
BUCKET: Final = "uploads"
REGION: Final = "us-east-1"
ACCESS_KEY: Final = "studio"
SECRET_KEY: Final = "the-studio-s-own-secret"
LISTENERS: Final = tuple(
    f"{part}.port{grpc}" for part in ("s3", "filer", "master", "volume", "admin") for grpc in ("", ".grpc")
)
"""The ports that it wants, that of S3 first."""

Kind: TypeAlias = Literal["s3", "minio"]


class S3Server:
    """A server on 127.0.0.1 with one bucket. Ports and data outlive a restart."""

    def __init__(self, folder: Path) -> None:
        """`folder` is for its data, and is kept."""
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._paused = False
        self._ports = _free_ports(len(LISTENERS))
        self.port = self._ports[0]

    @property
    def url(self) -> str:
        """The endpoint."""
        return f"http://127.0.0.1:{self.port}"

    def environ(self, kind: Kind, *, port: int | None = None) -> dict[str, str]:
        """The settings of a studio that keeps its uploads here, or behind a proxy on `port`."""
        url = f"http://127.0.0.1:{port or self.port}"
        if kind == "minio":
            return {
                "STORAGE_TYPE": "minio",
                "MINIO_ENDPOINT": url,
                "MINIO_BUCKET_NAME": BUCKET,
                "MINIO_ACCESS_KEY": ACCESS_KEY,
                "MINIO_SECRET_KEY": SECRET_KEY,
            }
        return {
            "STORAGE_TYPE": "s3",
            "S3_BUCKET_NAME": BUCKET,
            "S3_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_ENDPOINT_URL_S3": url,
        }

    def start(self) -> None:
        """Start it, unless it runs; the bucket is there when this returns."""
        if self._process is not None:
            return
        self._process = subprocess.Popen(
            self._command(),
            cwd=self._folder,
            env={
                "AWS_ACCESS_KEY_ID": ACCESS_KEY,
                "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
                "HOME": str(self._folder),
                "GOMAXPROCS": "2",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not self._takes_objects():
            assert self._process.poll() is None, f"weed ended with exit code {self._process.returncode}"
            assert time.monotonic() < deadline_s, "weed does not start"
            threading.Event().wait(POLL_S)

    def kill(self) -> None:
        """End it as a crash would (SIGKILL): clients are cut off."""
        self.resume()
        if self._process is not None:
            process, self._process = self._process, None
            end(process)

    def pause(self) -> None:
        """Make it hang (SIGSTOP): connections still open, and nothing is ever answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        os.waitpid(self._process.pid, os.WUNTRACED)
        self._paused = True

    def resume(self) -> None:
        """Let it go on (SIGCONT), with all it was sent meanwhile."""
        if self._process is not None and self._paused:
            self._process.send_signal(signal.SIGCONT)
        self._paused = False

    def objects(self) -> dict[str, int]:
        """The size of every object in the bucket, by its key."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        return {entry["Key"]: entry["Size"] for page in pages for entry in page.get("Contents", [])}

    def head(self, key: str) -> dict[str, Any]:
        """What the server says of one object."""
        return dict(self.client.head_object(Bucket=BUCKET, Key=key))

    def unfinished(self) -> list[str]:
        """The keys of multipart uploads that were neither completed nor aborted."""
        return [one["Key"] for one in self.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])]

    def leave_unfinished(self, key: str, part: bytes) -> None:
        """Begin a multipart upload and put its first part, as whoever is killed then."""
        upload = self.client.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
        self.client.upload_part(Bucket=BUCKET, Key=key, UploadId=upload, PartNumber=1, Body=part)

    def clear(self) -> None:
        """Empty the bucket."""
        for key in self.objects():
            self.client.delete_object(Bucket=BUCKET, Key=key)
        for one in self.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []):
            self.client.abort_multipart_upload(Bucket=BUCKET, Key=one["Key"], UploadId=one["UploadId"])

    def _takes_objects(self) -> bool:
        """Its parts start one after the other, so that only an object that was taken shows that it is ready."""
        with contextlib.suppress(ClientError, BotoCoreError):
            self.client.put_object(Bucket=BUCKET, Key="ready", Body=b"?")
            self.client.delete_object(Bucket=BUCKET, Key="ready")
            return True
        return False

    @functools.cached_property
    def client(self) -> Any:
        """A blocking client beside the code under test."""
        return Session().create_client(
            "s3",
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path"},
                retries={"total_max_attempts": 2},
                connect_timeout=2,
                read_timeout=10,
            ),
        )

    def _command(self) -> list[str]:
        program = Path(sysconfig.get_path("scripts")) / "weed"
        ports = [f"-{listener}={port}" for listener, port in zip(LISTENERS, self._ports, strict=True)]
        return [
            str(program),
            "-logtostderr",
            "mini",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-dir={self._folder}",
            f"-bucket={BUCKET}",
            "-s3.autoCreateBucket=false",
            "-master.telemetry=false",
            "-webdav=false",
            "-admin.ui=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            f"-filer.localSocket={self._folder}/filer.sock",
            f"-s3.localSocket={self._folder}/s3.sock",
            *ports,
        ]


def _free_ports(count: int) -> list[int]:
    """Free ports, all different. Some of its servers insist on being told one."""
    with contextlib.ExitStack() as open_probes:
        ports = []
        for _ in range(count):
            probe = open_probes.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            ports.append(int(probe.getsockname()[1]))
        return ports


@contextlib.contextmanager
def running_s3() -> Iterator[S3Server]:
    """A server of one's own, ended with the block."""
    with tempfile.TemporaryDirectory(prefix="omnisonic-s3-", ignore_cleanup_errors=True) as folder:
        server = S3Server(Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.kill()
            server.client.close()


@pytest.fixture(scope="session")
def s3_process() -> Iterator[S3Server]:
    """The one server of the test session. Tests ask for `s3`, which is this, running and empty."""
    with running_s3() as server:
        yield server


@pytest.fixture
def s3(s3_process: S3Server) -> Iterator[S3Server]:
    """A running S3 server with an empty bucket; a test may kill or pause it, and the next finds it in order."""
    s3_process.start()
    s3_process.clear()
    yield s3_process
    s3_process.resume()
