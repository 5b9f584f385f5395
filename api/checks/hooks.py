"""What the fuzzer has to know of media types: these bodies are bytes as they are."""

import schemathesis


def _bytes(_context, value):
    return value if isinstance(value, bytes) else str(value).encode()


for media_type in ("application/wasm", "application/octet-stream"):
    schemathesis.serializer(media_type)(_bytes)
