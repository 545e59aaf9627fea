"""Captures golden files from the Celery of the interpreter that runs it:

    .venv/celery-5.7.0/bin/python protocol/testdata/capture.py [FOLDER]

It starts a private redis-server and real workers, and writes golden/<version>/{messages,results,events,control,unacked}.jsonl. A line is one record:
name, version, kind (the reader in meaning.py), raw (the text) and expected (what this Celery reads in it).
What this version refuses to send goes to stderr.
"""
import base64
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import celery
import redis
from celery import Celery

import capture_cases
from capture_worker import capture_worker
from meaning import meaning

HERE = os.path.dirname(os.path.abspath(__file__))


def without_paths(text):
    """Takes this machine's folders out of tracebacks, also of those in a body."""
    def clean(part):
        return part.replace(os.path.dirname(os.path.dirname(HERE)), '/app').replace(sys.base_prefix, '/usr')

    def clean_body(match):
        try:
            body = base64.b64decode(match[2]).decode()
        except ValueError:
            return match[0]
        return match[0] if clean(body) == body else match[1] + base64.b64encode(clean(body).encode()).decode() + '"'
    return re.sub('("body": ")([A-Za-z0-9+/=]+)"', clean_body, clean(text))


class Golden:
    """The files of one version."""

    def __init__(self, folder):
        self.folder, self.records, self.refused = folder, {}, []

    def add(self, file, name, kind, raw):
        record = {'name': name, 'version': celery.__version__, 'kind': kind}
        try:
            text = without_paths(raw.decode() if isinstance(raw, bytes) else raw)
            record['raw'] = text
            record['expected'] = meaning(kind, text)
        except Exception as exc:
            record['expected'] = {'error': f'{type(exc).__name__}: {exc}'}
            print(f'{celery.__version__}: cannot read {name}: {exc!r}', file=sys.stderr)
        self.records.setdefault(file, []).append(record)

    def write(self):
        os.makedirs(self.folder, exist_ok=True)
        for file, records in self.records.items():
            with open(os.path.join(self.folder, file + '.jsonl'), 'w') as out:
                out.writelines(json.dumps(record) + '\n' for record in records)
            print(f'{celery.__version__} {file}: {len(records)} records')


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def start_redis(folder):
    port = free_port()
    process = subprocess.Popen(['redis-server', '--port', str(port), '--bind', '127.0.0.1', '--save', '', '--dir', folder, '--loglevel', 'warning'], stdout=subprocess.DEVNULL)
    client = redis.Redis(port=port)
    for _ in range(100):
        try:
            client.ping()
            return process, client, f'redis://127.0.0.1:{port}/0'
        except redis.ConnectionError:
            time.sleep(0.05)
    raise RuntimeError('redis-server does not answer')


def drain(client):
    """All messages on all queues, each in the order in which they were sent."""
    out = []
    for key in sorted(client.scan_iter(match='*', count=1000)):
        if client.type(key) == b'list':
            out += reversed(client.lrange(key, 0, -1))
            client.delete(key)
    return out


def applications(url):
    """The settings that change what a producer writes."""
    def make(**conf):
        app = Celery('golden', broker=url, backend=url, set_as_current=False)
        app.conf.update(accept_content=['json', 'msgpack', 'yaml', 'pickle'], **conf)
        app.gen_task_name = None
        return app
    return {
        '': make(), 'v1': make(task_protocol=1), 'local': make(enable_utc=False, timezone='Europe/Berlin'), 'berlin': make(timezone='Europe/Berlin'),
        'settings': make(task_serializer='msgpack', task_compression='bzip2', task_default_priority=5, task_queue_max_priority=10, task_ignore_result=True,
                         task_default_queue='settings', task_default_routing_key='settings', task_inherit_parent_priority=True),
    }


V1 = ('plain', 'countdown', 'eta', 'expires-', 'headers', 'group', 'limits', 'ignore-result', 'retries', 'priority-3', 'all', 'link', 'chord', 'no', 'unicode')


def capture_messages(golden, client, url):
    every = {'': [capture_cases.headers, capture_cases.values, capture_cases.canvas], 'v1': [capture_cases.headers, capture_cases.canvas],
             'local': [capture_cases.headers], 'berlin': [capture_cases.headers], 'settings': [capture_cases.headers]}
    only = {'v1': V1, 'local': ('countdown', 'eta', 'expires'), 'berlin': ('countdown', 'eta', 'expires'), 'settings': ('plain', 'priority-2', 'queue', 'keep-result', 'all')}
    for setting, app in applications(url).items():
        app.set_current()
        for cases in every[setting]:
            for name, send in cases():
                if setting in only and not name.split('/')[1].startswith(only[setting]):
                    continue
                full = f'{setting}/{name}' if setting else name
                try:
                    send(app)
                except Exception as exc:
                    golden.refused.append((full, repr(exc)[:200]))
                for i, raw in enumerate(drain(client)):
                    golden.add('messages', f'{full}#{i}' if i else full, 'task', raw)
        app.close()


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, 'golden', celery.__version__)
    golden = Golden(folder)
    scratch = tempfile.mkdtemp(prefix='lovage-golden-')
    process, client, url = start_redis(scratch)
    try:
        capture_messages(golden, client, url)
        client.flushall()
        for extended in (False, True):
            capture_worker(golden, client, url, extended, scratch)
            client.flushall()
        golden.write()
        for name, reason in golden.refused:
            print(f'{celery.__version__}: refused to send {name}: {reason}', file=sys.stderr)
    finally:
        process.terminate()
        process.wait()
        if os.environ.get('GOLDEN_KEEP'):
            print(f'kept {scratch}', file=sys.stderr)
        else:
            shutil.rmtree(scratch)


if __name__ == '__main__':
    main()
    sys.stdout.flush()
    os._exit(0)  # results that are still held would look for the Redis that is gone, for 40 s
