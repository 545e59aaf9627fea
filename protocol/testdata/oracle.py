"""Answers questions about Python's own behaviour, one JSON request per line in, one JSON answer per line out.

A request is {"op": name, "cases": [...]}, the answer a list with {"ok": ...} or {"error": text} for each case. Bytes travel as base64. Started
by the package's tests (python_test.go) with the interpreter of a virtual environment that has Celery.
"""
import base64
import bz2
import json
import lzma
import sys
import zlib
from datetime import date, datetime, time
from decimal import Decimal
from uuid import UUID

import oracle_celery
import yaml
from celery.utils.saferepr import saferepr
from kombu import serialization
from kombu.utils import json as kjson

serialization.enable_insecure_serializers()


def b64(data):
    return base64.b64encode(data).decode()


def unb64(text):
    return base64.b64decode(text)


def loads(text):
    """The value of kombu JSON text, which comes as base64 so that lone surrogates and NaN survive the request."""
    return kjson.loads(unb64(text).decode())


def tagged(value, order=list):
    """A value as text that two sides can only agree on when type and content are the same."""
    if isinstance(value, dict):
        return '{' + ','.join(f'{tagged(k)}:{tagged(value[k], order)}' for k in order(value)) + '}'
    if isinstance(value, (list, tuple)):
        return '[' + ','.join(tagged(v, order) for v in value) + ']'
    return f'{type(value).__name__}({value!r})'


def inflate(case):
    kind, data = case['kind'], unb64(case['data'])
    return b64(compressions()[kind][1](data))


def deflate(case):
    kind, data = case['kind'], unb64(case['data'])
    return b64(compressions()[kind][0](data))


def compressions():
    import brotli
    import zstandard
    return {
        'application/x-gzip': (zlib.compress, zlib.decompress),
        'application/x-bz2': (bz2.compress, bz2.decompress),
        'application/x-lzma': (lzma.compress, lzma.decompress),
        'application/x-brotli': (brotli.compress, brotli.decompress),
        # As kombu before 5.3 uses it: the strictest reader of the two, it wants the content's size in the frame.
        'application/zstd': (lambda b: zstandard.ZstdCompressor().compress(b), lambda b: zstandard.ZstdDecompressor().decompress(b)),
    }


def serialize(case):
    _, _, payload = serialization.dumps(loads(case['value']), serializer=case['name'])
    if isinstance(payload, str):
        payload = payload.encode()
    return b64(payload)


def deserialize(case):
    value = serialization.loads(unb64(case['data']), case['type'], case['encoding'], force=True)
    return tagged(value, sorted)  # PyYAML sorts keys when it writes


def yaml_json(case):
    """What a value of YAML becomes on its way through JSON: keys are strings, sets and tuples lists."""
    def plain(value):
        if isinstance(value, dict):
            return {key(k): plain(v) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(v) for v in value]
        if isinstance(value, set):
            return [plain(v) for v in sorted(value, key=str)]
        return value

    def key(value):
        return next(iter(json.loads(json.dumps({value: None}))))
    return b64(tagged(plain(yaml.safe_load(unb64(case)))).encode('utf-8', 'surrogatepass'))


OPS = {
    'float_repr': lambda case: repr(float.fromhex(case)),
    'repr': lambda case: b64(repr(loads(case)).encode('utf-8', 'surrogatepass')),
    'saferepr': lambda case: b64(saferepr(loads(case['value']), case['max'] or None).encode('utf-8', 'surrogatepass')),
    'saferepr_tuple': lambda case: b64(saferepr(tuple(loads(case['value'])), case['max'] or None).encode('utf-8', 'surrogatepass')),
    'tagged': lambda case: b64(tagged(loads(case)).encode('utf-8', 'surrogatepass')),
    'rejson': lambda case: b64(kjson.dumps(loads(case)).encode()),
    'datetime': lambda case: repr(datetime.fromisoformat(case)),
    'date': lambda case: repr(datetime.fromisoformat(case).date()),
    'time': lambda case: repr(time.fromisoformat(case)),
    'decimal': lambda case: str(Decimal(case)),
    'uuid': lambda case: UUID(case).hex,
    'inflate': inflate,
    'deflate': deflate,
    'serialize': serialize,
    'deserialize': lambda case: b64(deserialize(case).encode('utf-8', 'surrogatepass')),
    'yaml_json': yaml_json,
    **oracle_celery.OPS,
}


def answer(op, case):
    try:
        return {'ok': OPS[op](case)}
    except Exception as exc:
        return {'error': f'{type(exc).__name__}: {exc}'.encode('ascii', 'backslashreplace').decode()}


for line in sys.stdin:
    request = json.loads(line)
    print(json.dumps([answer(request['op'], case) for case in request['cases']]), flush=True)
