"""A registry with one image, as small as Docker accepts one (distribution API v2, schema 2). Holds no test."""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.engines.docker.support import tar_of

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


class Registry:
    """Serves `name`:latest made of `layers` on 127.0.0.1."""

    def __init__(self, name: str, layers: tuple[bytes, ...]) -> None:
        self._name = name
        self._blobs: dict[str, bytes] = {}
        self._manifest = self._made(layers)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.image = f"127.0.0.1:{self._server.server_port}/{name}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _made(self, layers: tuple[bytes, ...]) -> bytes:
        tars = [tar_of({f"layer{number}": content}) for number, content in enumerate(layers)]
        config = {
            "architecture": "amd64",
            "os": "linux",
            "config": {"ExposedPorts": {"8080/tcp": {}}},
            "rootfs": {"type": "layers", "diff_ids": [digest(tar) for tar in tars]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self._blob(json.dumps(config).encode(), CONFIG),
            "layers": [self._blob(gzip.compress(tar), LAYER) for tar in tars],
        }
        return json.dumps(manifest).encode()

    def _blob(self, content: bytes, kind: str) -> dict[str, object]:
        self._blobs[digest(content)] = content
        return {"mediaType": kind, "size": len(content), "digest": digest(content)}

    def _answer(self, path: str) -> tuple[int, str, bytes]:
        manifests = f"/v2/{self._name}/manifests/"
        if path == "/v2/":
            return 200, "application/json", b"{}"
        if path in (f"{manifests}latest", f"{manifests}{digest(self._manifest)}"):
            return 200, MANIFEST, self._manifest
        blob = self._blobs.get(path.removeprefix(f"/v2/{self._name}/blobs/"))
        if blob is not None:
            return 200, "application/octet-stream", blob
        error = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}
        return 404, "application/json", json.dumps(error).encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        registry = self

        class Handler(BaseHTTPRequestHandler):
            # Newer daemons try TLS first, and need an answer that says it is HTTP.
            default_request_version = "HTTP/1.1"

            def do_GET(self) -> None:
                status, kind, content = registry._answer(self.path)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.send_header("Docker-Content-Digest", digest(content))
                self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(content)

            do_HEAD = do_GET  # noqa: N815  (the name is the base class's)

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler


def digest(content: bytes) -> str:
    """The name a registry gives to bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
