"""A server that plays vLLM, llama-server or Ollama on loopback: what `backends/team` asks of one, a byte a token."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

SPECIAL = {"<|fim_prefix|>": 1001, "<|fim_suffix|>": 1002, "<|fim_middle|>": 1003}


def tokens_of(text: str, *, special: bool) -> list[int]:
    """Bytes, and the special tokens where they are read."""
    found: list[int] = []
    while text:
        name = next((name for name in SPECIAL if special and text.startswith(name)), "")
        found += [SPECIAL[name]] if name else list(text[0].encode())
        text = text[len(name) or 1 :]
    return found


class FakeServer:
    """`kind` says which server it plays. It answers with `words`, one an event; `asked` holds the bodies it got."""

    def __init__(self, kind: str = "vllm", words: tuple[str, ...] = ("all ", "is ", "well")) -> None:
        self.kind = kind
        self.words = words
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.refuse: tuple[int, str] | None = None
        self.endless = False
        self.cut_after: int | None = None
        self.hung_up = asyncio.Event()
        self.url = ""

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator[FakeServer]:
        settings = uvicorn.Config(self._app(), port=0, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
        server = uvicorn.Server(settings)
        sock = settings.bind_socket()
        self.url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        task = asyncio.create_task(server._serve([sock]))
        try:
            yield self
        finally:
            server.should_exit = True
            await task

    def last(self, path: str) -> dict[str, Any]:
        return next(body for where, body in reversed(self.asked) if where == path)

    def _app(self) -> Starlette:
        posts = {"/v1/chat/completions": self._stream, "/v1/completions": self._stream, "/tokenize": self._tokenize}
        posts |= {"/detokenize": self._detokenize}
        gets = {}
        if self.kind == "llama-server":
            posts |= {"/apply-template": self._template, "/infill": self._infill}
            gets["/props"] = self._props
        if self.kind == "ollama":
            posts = {"/v1/chat/completions": self._stream, "/v1/completions": self._stream, "/api/show": self._show}
        return Starlette(
            routes=[
                Route("/v1/models", self._models),
                *(Route(path, answer) for path, answer in gets.items()),
                *(Route(path, answer, methods=["POST"]) for path, answer in posts.items()),
            ]
        )

    async def _models(self, _: Request) -> Response:
        model = {"id": "team-coder", **({"max_model_len": 4096} if self.kind == "vllm" else {})}
        return JSONResponse({"data": [model]})

    async def _props(self, _: Request) -> Response:
        return JSONResponse({"default_generation_settings": {"n_ctx": 2048}})

    async def _show(self, request: Request) -> Response:
        return JSONResponse({"model_info": {"qwen2.context_length": 4096}})

    async def _tokenize(self, request: Request) -> Response:
        body = await self._take(request)
        if "messages" in body:
            return JSONResponse(
                {"tokens": tokens_of("".join(turn["content"] for turn in body["messages"]), special=True)}
            )
        text = body["prompt"] if self.kind == "vllm" else body["content"]
        return JSONResponse({"tokens": tokens_of(text, special=body.get("parse_special", True))})

    async def _detokenize(self, request: Request) -> Response:
        body = await self._take(request)
        return JSONResponse({"prompt" if self.kind == "vllm" else "content": bytes(body["tokens"]).decode()})

    async def _template(self, request: Request) -> Response:
        body = await self._take(request)
        return JSONResponse({"prompt": "".join(f"[{turn['content']}]" for turn in body["messages"])})

    async def _infill(self, request: Request) -> Response:
        body = await self._take(request)
        if not body["n_predict"]:
            return JSONResponse({"content": ""})
        events = [{"content": word, "stop": False} for word in self.words]
        last = {"content": "", "stop": True, "stop_type": "eos", "tokens_evaluated": 9, "tokens_predicted": 3}
        return StreamingResponse(self._events([*events, last]), media_type="text/event-stream")

    async def _stream(self, request: Request) -> Response:
        body = await self._take(request)
        if self.refuse:
            return JSONResponse({"error": {"message": self.refuse[1]}}, self.refuse[0])
        key = "delta" if "messages" in body else "text"
        said: list[dict[str, Any]] = [
            {"choices": [{key: {"content": word} if key == "delta" else word}]} for word in self.words
        ]
        if body.get("logprobs") and key == "text":
            for event in said:
                event["choices"][0]["logprobs"] = {"token_logprobs": [-0.5]}
        if self.cut_after is None:
            said.append({"choices": [{"finish_reason": "stop"}]})
            usage = {"prompt_tokens": 20, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 15}}
            said.append({"choices": [], "usage": usage})
        return StreamingResponse(self._events(said[: self.cut_after]), media_type="text/event-stream")

    async def _events(self, events: list[dict[str, Any]]) -> AsyncGenerator[bytes, None]:
        try:
            for event in events:
                yield b"data: " + json.dumps(event).encode() + b"\n\n"
            if self.endless:
                await asyncio.Event().wait()
            yield b"data: [DONE]\n\n"
        finally:
            self.hung_up.set()

    async def _take(self, request: Request) -> dict[str, Any]:
        body: dict[str, Any] = await request.json()
        self.asked.append((request.url.path, body))
        return body
