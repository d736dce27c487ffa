"""The ceiling: Granian's RSGI calling an application that reads the body and answers a constant.

Run by Granian's own command. The answer, which CONSTANT_ANSWER holds, is one of slipstream's, so
that both write as many bytes.
"""

from __future__ import annotations

import os
from typing import Any

ANSWER = os.environ.get("CONSTANT_ANSWER", "{}").encode()
HEADERS = [("content-type", "application/json")]


class Constant:
    """The application."""

    async def __rsgi__(self, scope: Any, proto: Any) -> None:
        await proto()
        proto.response_bytes(200, HEADERS, ANSWER)


app = Constant()
