"""What real Celery and kombu read out of bytes: the judge of the golden files, for the capture (capture.py) and for what Go writes (verify.py).

A meaning is a JSON object. Values of Python inside it are texts of `tagged`, in which two sides agree only when type and content are the same.
"""
import hashlib
from datetime import timezone

import capture_app  # noqa: F401  its exceptions must be there when results name them
from celery import Celery
from celery.worker.request import Request
from celery.worker.strategy import proto1_to_proto2
from kombu import Connection, serialization
from kombu.utils.json import loads

ACCEPT = {'application/json', 'application/x-msgpack', 'application/x-yaml', 'application/data', 'text/plain'}
for name in ('json', 'msgpack', 'yaml'):
    serialization.enable_insecure_serializers([name])

app = Celery('golden', set_as_current=False)
app.conf.update(accept_content=['json', 'msgpack', 'yaml'], result_accept_content=['json'])


@app.task(name='golden.any')
def any_task(*args, **kwargs):
    """Stands for whatever task a message names."""


channel = Connection('memory://').channel()


def tagged(value):
    """The value with the names of its types; a long text is given by its hash."""
    text = spelled(value)
    if len(text) <= 300:
        return text
    return 'sha256:' + hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()


def spelled(value):
    if isinstance(value, dict):
        return '{' + ','.join(f'{spelled(k)}:{spelled(v)}' for k, v in value.items()) + '}'
    if isinstance(value, (list, tuple)):
        return '[' + ','.join(spelled(v) for v in value) + ']'
    return f'{type(value).__name__}({value!r})'


def utc(moment):
    return moment and moment.astimezone(timezone.utc).isoformat()


def seconds(value):
    return None if value is None else float(value)


def envelope(document):
    message = channel.message_to_python(document)
    message.accept = ACCEPT
    return message


def delivery(message):
    info, properties = message.delivery_info or {}, message.properties or {}
    return {
        'content_type': message.content_type, 'content_encoding': message.content_encoding, 'correlation_id': properties.get('correlation_id'),
        'reply_to': properties.get('reply_to'), 'exchange': info.get('exchange'), 'routing_key': info.get('routing_key'),
        'priority': min(max(properties.get('priority') or 0, 0), 9), 'redelivered': bool(info.get('redelivered') or message.headers.get('redelivered')),  # kombu 4 sets the header only
    }


def task(document):
    """A task message, through the worker's own Request."""
    message = envelope(document)
    out = {'version': 2 if 'task' in message.headers else 1, 'headers': tagged(message.headers), **delivery(message)}
    try:
        payload = message.decode()
    except serialization.ContentDisallowed:
        return {**out, 'refused': 'ContentDisallowed'}
    if out['version'] == 2:
        body, headers, decoded, use_utc = message.body, message.headers, False, True
    else:
        body, headers, decoded, use_utc = proto1_to_proto2(message, dict(payload))
    request = Request(message, app=app, hostname='golden', body=body, headers=headers, decoded=decoded, utc=use_utc, task=any_task)
    args, kwargs, embed = body if decoded else payload
    fields = request._request_dict if hasattr(request, '_request_dict') else request.request_dict
    limits = fields.get('timelimit') or (None, None)
    return {
        **out, 'id': request.id, 'task': fields['task'], 'shadow': fields.get('shadow'), 'root_id': fields.get('root_id'), 'parent_id': fields.get('parent_id'),
        'group': fields.get('group'), 'group_index': fields.get('group_index') if out['version'] == 2 else None, 'retries': fields.get('retries') or 0,
        'eta': utc(request.eta), 'expires': utc(request.expires), 'timelimit': [seconds(limits[0]), seconds(limits[1])],
        'ignore_result': fields.get('ignore_result'), 'args': tagged(args), 'kwargs': tagged(kwargs),
        'embed': tagged({k: embed.get(k) for k in ('callbacks', 'errbacks', 'chain', 'chord')}),
    }


def unacked(document):
    """An entry of the hash `unacked`, as restore_by_tag reads it."""
    message, exchange, routing_key = document
    return {'exchange': exchange, 'routing_key': routing_key, 'message': task(message)}


def result(document):
    """A result document: its members as kombu reads them, and what AsyncResult makes of the result."""
    from celery.backends.base import KeyValueStoreBackend
    backend = KeyValueStoreBackend(app=app)
    backend.serializer, backend.content_type, backend.content_encoding = 'json', 'application/json', 'utf-8'
    out = {'document': tagged(document)}
    if 'status' not in document:
        return out
    if document['status'] in backend.EXCEPTION_STATES:
        exc = backend.exception_to_python(document['result'])
        out['exception'] = [type(exc).__qualname__, type(exc).__module__, tagged(list(getattr(exc, 'args', ())))]
    return out


def broadcast(document):
    """An event, a batch of them, a remote-control request or a reply: an envelope with a value."""
    message = envelope(document)
    return {'headers': tagged(message.headers), **delivery(message), 'payload': tagged(message.decode())}


def compact(value):
    """Leaves out what says nothing. ignore_result is the one whose False counts."""
    nothing = {'redelivered': False, 'priority': 0, 'retries': 0, 'timelimit': [None, None], 'embed': NO_EMBED}
    return {k: compact(v) if isinstance(v, dict) else v for k, v in value.items() if v is not None and v != '' and (k not in nothing or v != nothing[k])}


NO_EMBED = tagged(dict.fromkeys(('callbacks', 'errbacks', 'chain', 'chord')))
READERS = {'task': task, 'unacked': unacked, 'result': result, 'group': result, 'event': broadcast, 'control': broadcast, 'reply': broadcast}


def meaning(kind, text):
    return compact(READERS[kind](loads(text)))
