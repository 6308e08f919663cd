"""SmolLM2-135M-Instruct as an OpenAI-compatible server on loopback, one answer at a time.

`python model_server.py MODEL.gguf` prints its address and answers until it is ended.
"""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Model:
    """The model, greedy: the same question gets the same answer."""

    def __init__(self, path: Path) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

        self._torch = torch
        self._lock = threading.Lock()
        self._tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
        self._model = AutoModelForCausalLM.from_pretrained(
            path.parent,
            gguf_file=path.name,
            dtype=torch.float32,
            quantization_config=GgufConfig(dequantize=True),
        )

    def complete(self, request: dict[str, Any]) -> dict[str, Any]:
        """A chat completion."""
        with self._lock, self._torch.inference_mode():
            inputs = self._tokenizer.apply_chat_template(
                request["messages"],
                add_generation_prompt=True,
                return_tensors="pt",
                return_dict=True,
            )
            most = request["max_tokens"]
            made = self._model.generate(**inputs, max_new_tokens=most, do_sample=False)
            num_prompt = inputs["input_ids"].shape[1]
            ids = made[0, num_prompt:]
            text = self._tokenizer.decode(ids, skip_special_tokens=True)
        is_cut = len(ids) >= most
        message = {"role": "assistant", "content": text}
        return {
            "object": "chat.completion",
            "model": request["model"],
            "choices": [
                {"index": 0, "message": message, "finish_reason": "length" if is_cut else "stop"}
            ],
            "usage": {"prompt_tokens": num_prompt, "completion_tokens": len(ids)},
        }


def main() -> None:
    """Serves until the process is ended."""
    model = Model(Path(sys.argv[1]))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if "response_format" in request:
                self._send(400, {"error": {"message": "response_format is not supported"}})
            else:
                self._send(200, model.complete(request))

        def _send(self, status: int, answer: dict[str, Any]) -> None:
            payload = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *args: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{server.server_address[1]}/v1", flush=True)  # noqa: T201
    server.serve_forever()


if __name__ == "__main__":
    main()
