"""An endpoint that reads its body and returns so many bytes: `python constant.py PORT BYTES`.

The server software of the service and nothing of its own.
"""

import sys

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import Response

BODY = b'"' + b"x" * (int(sys.argv[2]) - 2) + b'"'
app = FastAPI()


@app.post("/v1/scores")
async def constant(request: Request) -> Response:
    await request.body()
    return Response(BODY, media_type="application/json")


@app.get("/")
async def ready() -> dict[str, str]:
    return {}


if __name__ == "__main__":
    uvicorn.run(
        app, host="127.0.0.1", port=int(sys.argv[1]), http="httptools", loop="uvloop",
        log_level="warning", access_log=False,
    )  # fmt: skip
