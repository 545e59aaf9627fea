"""The messages that the capture lets Celery send: pairs of a name and a function of the application that sends them."""
import uuid
from datetime import datetime, timedelta, timezone

from celery import __version__ as VERSION
from celery import chain, chord, group
from kombu import Exchange, Queue

from capture_values import VALUES

WHEN = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=timezone.utc)
EAST = timezone(timedelta(hours=-3, minutes=-30))


def headers():
    """One option of apply_async each, then some together."""
    options = {
        'plain': {}, 'countdown-0': {'countdown': 0}, 'countdown': {'countdown': 90.5}, 'eta': {'eta': WHEN}, 'eta-whole': {'eta': WHEN.replace(microsecond=0)},
        'eta-east': {'eta': WHEN.astimezone(EAST)}, 'eta-naive': {'eta': WHEN.replace(tzinfo=None)}, 'expires-int': {'expires': 3600},
        'expires-float': {'expires': 1.5}, 'expires-datetime': {'expires': WHEN}, 'expires-naive': {'expires': WHEN.replace(tzinfo=None)},
        'expires-past': {'expires': datetime(2020, 1, 1, tzinfo=timezone.utc)}, 'queue': {'queue': 'other'}, 'queue-unicode': {'queue': 'schl\xfcssel'},
        'exchange': {'exchange': 'golden', 'routing_key': 'a.b'}, 'routing-key': {'routing_key': 'celery'}, 'shadow': {'shadow': 'another.name'},
        'headers': {'headers': {'x-trace': 'abc', 'tenant': {'id': 7, 'tags': ['a', None]}, 'n': 1.0}}, 'headers-typed': {'headers': {'when': WHEN, 'raw': b'\xff'}},
        'headers-clash': {'headers': {'retries': 3, 'lang': 'go'}}, 'headers-periodic': {'headers': {'periodic_task_name': 'every \xe9'}},
        'group': {'group_id': 'group-1'}, 'group-index': {'group_id': 'group-1', 'group_index': 3}, 'group-index-0': {'group_id': 'group-1', 'group_index': 0},
        'limits': {'time_limit': 30, 'soft_time_limit': 20}, 'limit-hard': {'time_limit': 30.5}, 'limit-soft': {'soft_time_limit': 0.25},
        'ignore-result': {'ignore_result': True}, 'keep-result': {'ignore_result': False}, 'retries': {'retries': 4}, 'reply-to': {'reply_to': 'my-replies'},
        'root-parent': {'root_id': 'root-1', 'parent_id': 'parent-1'}, 'id-odd': {'task_id': 'any "string" \u20ac/\\ id'}, 'id-number': {'task_id': '42'},
        'id-empty-like': {'task_id': ' '}, 'argsrepr': {'argsrepr': "('secret',)", 'kwargsrepr': '<hidden>'}, 'persistent-off': {'delivery_mode': 1},
        'expiration': {'expiration': 60}, 'correlation': {'correlation_id': 'other-correlation'}, 'property': {'app_id': 'golden-app', 'type': 'kind', 'user_id': 'guest'},
        'all': {'task_id': 'all', 'countdown': 60, 'expires': 120, 'priority': 7, 'queue': 'other', 'shadow': 'sh', 'headers': {'h': 1}, 'group_id': 'g',
                'group_index': 2, 'time_limit': 9, 'soft_time_limit': 8, 'ignore_result': True, 'reply_to': 'r', 'root_id': 'ro', 'parent_id': 'pa', 'retries': 1},
    }
    for priority in range(-1, 11):
        options[f'priority-{priority}'] = {'priority': priority}
    for name, each in options.items():
        yield f'header/{name}', lambda app, each=each: app.send_task('golden.any', (1, 'two'), {'three': 3.0}, **each)
    bodies = {
        'no-arguments': ((), {}), 'none': (None, None), 'only-kwargs': ((), {'a': 1}), 'list-args': ([1, 2], {}), 'unicode-kwargs': ((), {'schl\xfcssel': '\u20ac'}),
        'long-argsrepr': (('y' * 2000, list(range(500))), {'k': 'z' * 3000}), 'deep-argsrepr': (([[[[[[1]]]]]], {'a': {'b': {'c': {'d': 1}}}}), {}),
        'many-kwargs': ((), {f'k{i}': i for i in range(60)}),
    }
    for name, (args, kwargs) in bodies.items():
        yield f'body/{name}', lambda app, args=args, kwargs=kwargs: app.send_task('golden.any', args, kwargs)
    yield 'body/topic', send_topic
    yield 'header/big-compressible', lambda app: app.send_task('golden.any', ('abcdefgh' * 250000,), compression='gzip')


def send_topic(app):
    queue = Queue('topical', Exchange('topics', type='topic'), routing_key='a.*')
    with app.connection_for_write() as connection:
        queue(connection.default_channel).declare()
    app.send_task('golden.any', (1,), exchange='topics', routing_key='a.b')


def values():
    for serializer in ('json', 'msgpack', 'yaml'):
        for name, value in VALUES.items():
            if serializer != 'json' and not VERSION.startswith('5.7') and not name.startswith(('int', 'nan', 'emoji', 'sur', 'bytes', 'date', 'like', 'dict', 'mixed', 'typed', 'set')):
                continue  # the serializers are the same libraries in every version
            yield f'value/{serializer}/{name}', lambda app, s=serializer, v=value: app.send_task('golden.any', (v,), {'v': v} if s == 'json' else {}, serializer=s)
    for name in ('text', 'bytes', 'dict', 'datetime-utc'):
        yield f'value/pickle/{name}', lambda app, v=VALUES[name]: app.send_task('golden.any', (v,), serializer='pickle')
    for compression in ('gzip', 'zlib', 'bzip2', 'bzip', 'lzma', 'xz', 'brotli', 'zstd', 'zstandard'):
        for serializer in ('json', 'msgpack'):
            yield (f'compression/{compression}/{serializer}', lambda app, c=compression, s=serializer: app.send_task(
                'golden.any', ('\u20ac' * 500, [1, 2.5, None]), {'k': 'v' * 500}, serializer=s, compression=c))
    yield 'compression/empty', lambda app: app.send_task('golden.any', compression='gzip')


def canvas():
    def sig(app, *args, **options):
        return app.signature('golden.any', args=args, options=options)
    yield 'canvas/link', lambda app: sig(app, 1).apply_async(link=sig(app, 'then'))
    yield 'canvas/links', lambda app: sig(app, 1).apply_async(link=[sig(app, 'a'), sig(app, 'b', queue='other', priority=3)])
    yield 'canvas/link-error', lambda app: sig(app, 1).apply_async(link_error=sig(app, 'oops'))
    yield 'canvas/link-immutable', lambda app: sig(app, 1).apply_async(link=app.signature('golden.any', args=(2,), immutable=True))
    yield 'canvas/link-of-link', lambda app: sig(app, 1).apply_async(link=app.signature('golden.any', args=(2,)).on_error(sig(app, 'e')))
    yield 'canvas/link-kwargs', lambda app: sig(app, 1).apply_async(link=app.signature('golden.any', kwargs={'k': [1, {'a': 2.0}]}, countdown=5, expires=60))
    yield 'canvas/chain', lambda app: chain(sig(app, 1), sig(app, 2), sig(app, 3, countdown=4), app=app).apply_async()
    yield 'canvas/chain-options', lambda app: chain(sig(app, 1), sig(app, 2), app=app).apply_async(queue='other', priority=2, task_id='chain-id')
    yield 'canvas/chain-link-error', lambda app: chain(sig(app, 1), sig(app, 2), app=app).on_error(sig(app, 'err')).apply_async()
    yield 'canvas/chain-typed', lambda app: chain(sig(app, b'\xff'), sig(app, uuid.UUID(int=5), WHEN), app=app).apply_async()
    yield 'canvas/group', lambda app: group([sig(app, i) for i in range(3)], app=app).apply_async()
    yield 'canvas/group-of-chains', lambda app: group([chain(sig(app, i), sig(app, -i), app=app) for i in range(2)], app=app).apply_async()
    yield 'canvas/chord', lambda app: chord([sig(app, i) for i in range(2)], app=app)(sig(app, 'body'))
    yield 'canvas/chord-options', lambda app: chord([sig(app, i) for i in range(2)], app=app)(sig(app, 'body', queue='other', link_error=[sig(app, 'e')]))
    yield 'canvas/chord-in-chain', lambda app: chain(sig(app, 0), group([sig(app, 1), sig(app, 2)], app=app), sig(app, 'b'), app=app).apply_async()
    yield 'canvas/chain-ends-in-group', lambda app: chain(sig(app, 0), group([sig(app, 1), sig(app, 2)], app=app), app=app).apply_async()
    yield 'canvas/group-in-group', lambda app: group([group([sig(app, 1), sig(app, 2)], app=app), sig(app, 3)], app=app).apply_async()
    yield 'canvas/chord-in-chord', lambda app: chord([chord([sig(app, 1), sig(app, 2)], sig(app, 'inner'), app=app), sig(app, 3)], app=app)(sig(app, 'outer'))
    yield 'canvas/chord-body-chain', lambda app: chord([sig(app, i) for i in range(2)], app=app)(chain(sig(app, 'x'), sig(app, 'y'), app=app))
    yield 'canvas/chunks', lambda app: send_chunks(app)
    yield 'canvas/map', lambda app: app.signature('celery.map', kwargs={'task': dict(sig(app)), 'it': [1, 2]}).apply_async()
    yield 'canvas/stamps', lambda app: send_stamped(app, sig(app, 1))
    yield 'canvas/stamped-chain', lambda app: send_stamped(app, chain(sig(app, 1), sig(app, 2), app=app))


def send_chunks(app):
    app.signature('celery.starmap', kwargs={'task': dict(app.signature('golden.any')), 'it': [[1, 2], [3, 4]]}).apply_async()


def send_stamped(app, signature):
    signature.stamp(tenant='t1', tags=['a', 'b'])
    signature.apply_async()
