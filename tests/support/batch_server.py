"""The Batch API on loopback: files, batches, and the answers of an `LLMServer`."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from llm_server import LLMServer, Reply


class BatchServer(LLMServer):
    """Takes batches; one is finished after `looks_needed` looks at it.

    Attributes:
        files: Contents by id.
        batches: Batches by id.
        looks_needed: Looks until a batch has ended.
        end_status: Status of a batch that has ended.
        leave_out: Custom ids that no output names.
        broken: `METHOD path` of calls that get a 503 once.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.looks_needed = 2
        self.end_status = "completed"
        self.leave_out: set[int] = set()
        self.broken: set[str] = set()
        self.paths: list[str] = []
        self.num_batched = 0

    def respond(  # noqa: PLR0911 one line a path
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[Reply, bytes]:
        """Files and batches; everything else as the server without them."""
        place = urlsplit(path).path.removeprefix("/v1")
        self.paths.append(f"{method} {place}")
        if f"{method} {place}" in self.broken:
            self.broken.discard(f"{method} {place}")
            return Reply(status=503), b"{}"
        if (method, place) == ("POST", "/files"):
            return _json(self._keep(_uploaded(headers["content-type"], body)))
        if (method, place) == ("POST", "/batches"):
            return _json(self._make(json.loads(body)))
        if (method, place) == ("GET", "/batches"):
            return _json({"object": "list", "data": list(self.batches.values())})
        if method == "GET" and place.startswith("/batches/"):
            return _json(self._look(place.removeprefix("/batches/")))
        if method == "GET" and place.startswith("/files/"):
            content = self.files[place.removeprefix("/files/").removesuffix("/content")]
            return Reply(raw=content), content
        return super().respond(method, path, headers, body)

    def _keep(self, content: bytes) -> dict[str, Any]:
        name = f"file-{len(self.files)}"
        self.files[name] = content
        return {"id": name, "object": "file", "bytes": len(content)}

    def _make(self, wanted: dict[str, Any]) -> dict[str, Any]:
        assert wanted["endpoint"] == "/v1/chat/completions"
        assert wanted["input_file_id"] in self.files
        name = f"batch-{len(self.batches)}"
        self.batches[name] = {"id": name, "status": "in_progress", "looks": 0, **wanted}
        return self.batches[name]

    def _look(self, name: str) -> dict[str, Any]:
        batch = self.batches[name]
        batch["looks"] += 1
        if batch["looks"] >= self.looks_needed and batch["status"] == "in_progress":
            batch["status"] = self.end_status
            if self.end_status == "failed":
                batch["errors"] = {"data": [{"message": "the file is not to our taste"}]}
            else:
                self._finish(batch)
        return batch

    def _finish(self, batch: dict[str, Any]) -> None:
        good, bad = [], []
        lines = self.files[batch["input_file_id"]].splitlines()
        for place, line in enumerate(lines):
            if place in self.leave_out:
                continue
            asked = json.loads(line)
            self.num_batched += 1
            reply, body = self.complete(asked["body"], None)
            row = {"custom_id": asked["custom_id"], "error": None}
            row["response"] = {"status_code": reply.status, "body": json.loads(body)}
            (good if reply.status == 200 else bad).append(json.dumps(row).encode())
        # In another order than they were asked, as the interface allows.
        batch["output_file_id"] = self._keep(b"\n".join(good[::-1]))["id"]
        if bad:
            batch["error_file_id"] = self._keep(b"\n".join(bad))["id"]


def _json(value: Any) -> tuple[Reply, bytes]:
    return Reply(), json.dumps(value).encode()


def _uploaded(content_type: str, body: bytes) -> bytes:
    boundary = content_type.partition("boundary=")[2].encode()
    for part in body.split(b"--" + boundary):
        head, _, content = part.partition(b"\r\n\r\n")
        if b'name="file"' in head:
            return content.removesuffix(b"\r\n")
    raise AssertionError("no file in the upload")
