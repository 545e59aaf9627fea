"""What Celery's own worker makes of a message: operations for oracle.py."""
import base64
import json

from celery import Celery
from celery.utils.time import maybe_iso8601
from celery.worker.request import Request
from celery.worker.strategy import hybrid_to_proto2, proto1_to_proto2
from kombu.matcher import match
from kombu.transport import memory
from kombu.transport.virtual.base import Message
from kombu.utils import json as kjson

app = Celery('oracle', broker='memory://', set_as_current=False)
app.conf.result_backend = 'cache+memory://'
published = []
memory.Channel._put = lambda self, queue, message, **options: published.append(kjson.dumps(message))


@app.task(bind=True, name='t.add', max_retries=None)
def add(self, *args, **kwargs):
    """Named by the messages of the tests."""


def worker_request(envelope):
    """As consumer.on_task_received and strategy.default."""
    with app.connection_for_write() as connection:
        message = Message(kjson.loads(envelope), channel=connection.default_channel, accept=None)
    if message.errors:
        message._reraise_error()
    body, headers, decoded = message.body, message.headers, False
    if 'task' not in message.headers:
        body, headers, decoded, _ = proto1_to_proto2(message, message.decode())
    elif 'args' in message.payload:
        body, headers, decoded, _ = hybrid_to_proto2(message, message.payload)
    request = Request(message, app=app, hostname='w@h', task=app.tasks['t.add'], body=body, headers=headers, decoded=decoded)
    args, kwargs, embed = body if decoded else message.payload
    return request, dict(request.request_dict, args=args, kwargs=kwargs, **(embed or {}))


def request(envelope):
    r, d = worker_request(envelope)
    hard, soft = r.time_limits
    return kjson.dumps({
        'id': str(r.id), 'root': r.root_id and str(r.root_id), 'parent': r.parent_id and str(r.parent_id), 'name': r._type, 'shown': r.name,
        'group': d.get('group'), 'group_index': d.get('group_index'), 'retries': d.get('retries') or 0,
        'eta': r.eta and round(r.eta.timestamp() * 1e6), 'expires': r.expires and round(r.expires.timestamp() * 1e6),
        'hard': hard or 0, 'soft': soft or 0, 'ignore': bool(r._ignore_result),
        'args': list(d['args'] or ()), 'kwargs': d['kwargs'] or {},
        'embed': [d.get('callbacks'), d.get('errbacks'), d.get('chain'), d.get('chord')],
        'redelivered': bool(r.delivery_info.get('redelivered')),
    })


def retry(envelope):
    _, d = worker_request(envelope)
    published.clear()
    add.push_request(**dict(d, called_directly=False, is_eager=False))
    try:
        add.retry(countdown=5, throw=False)
    finally:
        add.pop_request()
    return published[-1]


def marked(envelope):
    """As kombu.transport.redis restores a message."""
    message = json.loads(envelope)
    try:
        message['headers']['redelivered'] = True
        message['properties']['delivery_info']['redelivered'] = True
    except KeyError:
        pass
    return json.dumps(message)


def instant(text):
    time = maybe_iso8601(text)
    return time.isoformat(timespec='microseconds') if time else ''


OPS = {
    'instant': instant,
    'b64decode': lambda text: base64.b64encode(base64.b64decode(text.encode())).decode(),
    'glob': lambda case: str(bool(match(case['name'], case['pattern'], 'glob'))),
    'request': request,
    'retry': retry,
    'marked': marked,
}
