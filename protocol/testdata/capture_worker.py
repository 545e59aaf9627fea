"""Runs a real worker and records what it writes: results, events, control replies, follow-up messages and unacked entries."""
import base64
import json
import os
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta, timezone

import kombu.transport.redis as transport
from celery import chain, chord, group
from celery.result import GroupResult
from kombu import Connection

from capture_app import ERRORS, app
from capture_values import VALUES

HERE = os.path.dirname(os.path.abspath(__file__))


class Recorder:
    """All that is published, in order."""

    def __init__(self, client):
        self.seen, self.pubsub = [], client.pubsub()
        self.pubsub.psubscribe(**{'*': self.record})
        while not self.pubsub.get_message(timeout=1):  # the answer to psubscribe
            pass
        self.thread = self.pubsub.run_in_thread(sleep_time=0.01)

    def record(self, message):
        self.seen.append((message['channel'].decode(), message['data']))

    def count(self, part):
        return sum(part in channel for channel, _ in list(self.seen))

    def stop(self):
        self.thread.stop()
        self.thread.join()


def wait(what, condition, timeout=40):
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            print(f'gave up waiting for {what}', file=sys.stderr)
            return
        time.sleep(0.05)


class Worker:
    def __init__(self, url, extended, log):
        self.log = log
        env = dict(os.environ, GOLDEN_URL=url, GOLDEN_EXTENDED='1' if extended else '0', PYTHONPATH=HERE, PYTHONWARNINGS='ignore', PYTHONDONTWRITEBYTECODE='1')
        command = [sys.executable, '-m', 'celery', '-A', 'capture_app', 'worker', '-P', 'solo', '-l', 'INFO', '-E', '-n', 'golden@host', '-Q', 'celery']
        self.process = subprocess.Popen(command, cwd=os.path.dirname(log), env=env, stdout=open(log, 'w'), stderr=subprocess.STDOUT)
        wait('the worker', lambda: ' ready.' in open(log).read())

    def stop(self):
        self.process.terminate()
        self.process.wait()


def send_tasks(tag):
    """One task for each kind of result; the ids are the names."""
    def send(name, task, *args, **options):
        app.send_task(task, args, options.pop('kwargs', None), task_id=f'{tag}/{name}', **options)
    few = ('none', 'text', 'list', 'dict', 'bytes', 'datetime-utc', 'value', 'custom', 'unicode', 'unserializable')  # the other settings change no value
    for name, value in VALUES.items():
        if name not in ('set', 'complex', 'timedelta') and (tag == 'worker' or name in few):
            try:
                send(f'value/{name}', 'golden.echo', value)
            except Exception:
                pass  # this version cannot send it: capture_messages tells
    for kind in ERRORS if tag == 'worker' else [kind for kind in ERRORS if kind in few]:
        send(f'error/{kind}', 'golden.fail', kind)
    for name, (args, kwargs) in {'missing-1': ((1,), {}), 'missing-2': ((), {}), 'too-many': ((1, 2, 3), {}), 'unexpected': ((1, 2), {'z': 1}), 'multiple': ((1, 2), {'x': 1})}.items():
        send(f'arguments/{name}', 'golden.add', *args, kwargs=kwargs)
    for name in ('chained', 'unencodable', 'autoretry', 'reject', 'ignore', 'progress', 'spawn', 'replace', 'limited'):
        send(name, f'golden.{name}')
    for queue in ('celery', 'parked'):  # run and retried, and as it was before: the retry goes to parked as well
        send('retry', 'golden.retry', 1, kwargs={'b': 2}, priority=3, headers={'x-own': [1]}, expires=datetime(2036, 1, 1, tzinfo=timezone.utc), time_limit=50,
             soft_time_limit=40, link=follow('on-success'), link_error=follow('on-error'), queue=queue)
        send('retry-child', 'golden.retry', group_id='group-8', group_index=1, parent_id='parent-8', root_id='root-8', shadow='shadow.name', ignore_result=True, queue=queue)
    send('retry-out', 'golden.retry_out', True)
    send('max-retries', 'golden.retry_out', False)
    send('unregistered', 'golden.nobody', 1)
    send('expired', 'golden.echo', 1, expires=datetime.now(timezone.utc) - timedelta(hours=1))
    send('link', 'golden.add', 1, 2, link=[follow('linked'), follow('linked-too', priority=6)])
    send('link-error', 'golden.fail', 'value', link_error=follow('after-error'))
    send('grouped', 'golden.echo', 1, group_id='group-9', group_index=0, parent_id='parent-9', root_id='root-9')
    send('shadow', 'golden.echo', 1, shadow='shadow.name', headers={'x-own': 1})
    send('ignored', 'golden.echo', 1, ignore_result=True)
    send('revoked', 'golden.echo', 1, countdown=2)
    send('parked', 'golden.echo', 'eta', eta=datetime(2036, 1, 2, 3, 4, 5, tzinfo=timezone.utc), priority=9)
    chain(app.signature('golden.echo', ('first',), task_id=f'{tag}/chain'), follow('chain-next'), follow('chain-last'), app=app).apply_async()
    chord([app.signature('golden.echo', (i,), task_id=f'{tag}/chord-{i}') for i in range(2)], app=app)(follow('chord-body'))
    chord([app.signature('golden.fail', ('value',), task_id=f'{tag}/chord-failing')], app=app)(follow('chord-never', task_id=f'{tag}/chord-error'))
    if hasattr(app.signature('x'), 'stamp'):
        stamped = app.signature('golden.echo', (1,), task_id=f'{tag}/stamped')
        stamped.stamp(tenant='t')
        stamped.apply_async()


def follow(name, **options):
    return app.signature('golden.any', args=(name,), options={'queue': 'parked', **options})


def send_states(tag):
    """States that a worker passes through too quickly, or not at all, from the backend itself."""
    store = app.backend.store_result
    store(f'{tag}/state-started', {'pid': 1, 'hostname': 'golden@host'}, 'STARTED')
    store(f'{tag}/state-pending', None, 'PENDING')
    store(f'{tag}/state-received', None, 'RECEIVED')
    store(f'{tag}/state-own', {'progress': 0.5}, 'PROGRESS')
    store(f'{tag}/state-retry', ValueError('again'), 'RETRY', traceback='Traceback (most recent call last):\n')
    app.backend.mark_as_revoked(f'{tag}/state-revoked', reason='because')
    leaves = [app.AsyncResult(f'{tag}/leaf-{i}') for i in range(2)]
    GroupResult(f'{tag}/group', leaves).save(backend=app.backend)
    GroupResult(f'{tag}/group-nested', [leaves[0], GroupResult(f'{tag}/inner', leaves[1:])], parent=app.AsyncResult('parent')).save(backend=app.backend)


def send_malformed(client):
    """What a worker cannot read: it logs and drops these; shown in its log."""
    client.lpush('celery', b'{"body": "bm90IGpzb24=", "content-encoding": "utf-8", "content-type": "application/json", "headers": {"task": "golden.echo", "id": "bad"},'
                 b' "properties": {"body_encoding": "base64", "delivery_tag": "bad", "delivery_info": {"exchange": "", "routing_key": "celery"}}}')
    app.send_task('golden.echo', (1,), task_id='pickled', serializer='pickle')


def inspect_all(tag, url, golden):
    """Every remote-control command with its reply; the raw replies are caught where kombu reads them."""
    replies, loads = [], transport.loads
    transport.loads = lambda s, *a, **k: (replies.append(s), loads(s, *a, **k))[1]
    target = ['golden@host']
    commands = {
        'ping': {}, 'hello': {'from_node': 'other@host', 'revoked': {}}, 'active': {}, 'scheduled': {}, 'reserved': {}, 'revoked': {}, 'registered': {'taskinfoitems': ['rate_limit']},
        'stats': {}, 'report': {}, 'conf': {'with_defaults': False}, 'query_task': {'ids': [f'{tag}/parked', 'nobody']}, 'clock': {}, 'active_queues': {}, 'memsample': {},
        'rate_limit': {'task_name': 'golden.limited', 'rate_limit': '10/m'}, 'time_limit': {'task_name': 'golden.limited', 'soft': 5, 'hard': 10},
        'enable_events': {}, 'disable_events': {}, 'heartbeat': {}, 'pool_grow': {'n': 1}, 'pool_shrink': {'n': 1}, 'pool_restart': {'modules': None, 'reload': False},
        'autoscale': {'max': 3, 'min': 1}, 'add_consumer': {'queue': 'more'}, 'cancel_consumer': {'queue': 'more'}, 'revoke': {'task_id': 'some-id', 'terminate': False, 'signal': 'SIGTERM'},
        'revoke_by_stamped_headers': {'headers': {'tenant': 't9'}}, 'terminate': {'task_id': 'some-id', 'signal': 'SIGTERM'}, # not 'election': it ends a worker that is alone (Celery 5.7.0)
        'no_such_command': {}, 'unknown_task_rate_limit': {},
    }
    with Connection(url) as connection:
        for name, arguments in commands.items():
            del replies[:]
            method = 'rate_limit' if name.startswith('unknown_task') else name
            if method != name:
                arguments = {'task_name': 'nobody', 'rate_limit': '1/s'}
            app.control.broadcast(method, arguments=arguments, destination=target, connection=connection, reply=True, timeout=1.5, limit=1)
            for raw in replies:
                golden.add('control', f'{tag}/reply/{name}', 'reply', raw)
    transport.loads = loads
    app.control.broadcast('enable_events', reply=False)
    app.control.broadcast('ping', pattern='golden*', matcher='glob', reply=False)
    app.control.revoke(['a', 'b'])
    if hasattr(app.control, 'revoke_by_stamped_headers'):
        app.control.revoke_by_stamped_headers({'tenant': ['t1', 't2']})


def add_unacked(golden, client, tag, name):
    for field, raw in client.hgetall('unacked').items():
        golden.add('unacked', f'{tag}/{name}/{field.decode()[:8]}', 'unacked', raw)


def restore(golden, client, url, tag):
    """What kombu records for a consumer that dies, and pushes back for it."""
    for priority in (0, 5):
        app.send_task('golden.echo', (1,), task_id=f'{tag}/restored-{priority}', queue='fragile', priority=priority, headers={'x-own': 1})
    with Connection(url) as connection:
        queue = connection.SimpleQueue('fragile')
        for _ in range(2):
            queue.get(timeout=5)
        add_unacked(golden, client, tag, 'consumed')
        channel = queue.channel
        for delivery in client.zrange('unacked_index', 0, -1):
            channel.qos.restore_by_tag(delivery.decode())
    for key in client.scan_iter(match='fragile*'):
        for raw in client.lrange(key, 0, -1):
            golden.add('messages', f'{tag}/restored/{key.decode()}', 'task', raw)
        client.delete(key)


def capture_worker(golden, client, url, extended, scratch):
    tag = 'extended' if extended else 'worker'
    app.conf.update(broker_url=url, result_backend=url, result_extended=extended, task_track_started=extended)
    app.set_current()
    recorder = Recorder(client)
    worker = Worker(url, extended, os.path.join(scratch, f'{tag}.log'))
    try:
        send_tasks(tag)
        app.control.revoke(f'{tag}/revoked')
        wait('the last chord member', lambda: client.exists(f'celery-task-meta-{tag}/chord-error'))
        wait('the revoked task', lambda: client.exists(f'celery-task-meta-{tag}/revoked'))
        send_states(tag)
        add_unacked(golden, client, tag, 'held')
        if not extended:
            inspect_all(tag, url, golden)
        send_malformed(client)
        wait('the malformed', lambda: not client.exists('celery'))
        restore(golden, client, url, tag)
        wait('a heartbeat', lambda: recorder.count('worker.heartbeat') > 2)
        app.control.shutdown()
        wait('worker-offline', lambda: recorder.count('worker.offline'))
    finally:
        worker.stop()
        recorder.stop()
    save(golden, client, tag, recorder)


def wanted(data, kinds):
    """Tells whether an event, or a batch of them, has a type of which there are few so far."""
    events = json.loads(base64.b64decode(json.loads(data)['body']))
    events = events if isinstance(events, list) else [events]
    for event in events:
        kinds[event['type']] = kinds.get(event['type'], 0) + 1
    return any(kinds[event['type']] <= 7 for event in events)


def save(golden, client, tag, recorder):
    seen, kinds = {}, {}
    for channel, data in recorder.seen:
        kind = 'result' if channel.startswith('celery-task-meta-') else 'event' if 'celeryev' in channel else 'control' if 'pidbox' in channel else None
        name = channel.replace('celery-task-meta-', '').replace('/0.celeryev/', f'{tag}/')
        seen[name] = seen.get(name, 0) + 1
        if kind is None or kind == 'event' and not wanted(data, kinds):
            continue
        file = {'result': 'results', 'event': 'events', 'control': 'control'}[kind]
        golden.add(file, f'{name}#{seen[name]}', kind, data)
    for key in sorted(client.scan_iter(match='celery-taskset-meta-*')):
        if client.type(key) == b'string' and client.get(key)[:1] == b'{':
            golden.add('results', key.decode(), 'group', client.get(key))
    for key in sorted(client.scan_iter(match='parked*')):
        for i, raw in enumerate(client.lrange(key, 0, -1)):
            golden.add('messages', f'{tag}/follow-up/{i}', 'task', raw)
