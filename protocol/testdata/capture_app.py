"""The tasks that the captured workers run, and the application behind them. Settings come from the environment, as capture.py sets them."""
import os

from celery import Celery
from celery.exceptions import Ignore, Reject

app = Celery('golden', broker=os.environ.get('GOLDEN_URL'), backend=os.environ.get('GOLDEN_URL'))
app.conf.update(
    accept_content=['json', 'msgpack', 'yaml'], task_send_sent_event=True, worker_send_task_events=True, worker_hijack_root_logger=True,
    result_extended=os.environ.get('GOLDEN_EXTENDED') == '1', task_track_started=os.environ.get('GOLDEN_EXTENDED') == '1', task_acks_late=True,
    task_default_queue='celery', broker_connection_retry_on_startup=True,
)


class CustomError(Exception):
    pass


class TwoArguments(Exception):
    def __init__(self, code, text):
        super().__init__(code, text)
        self.code = code


class OwnMessage(Exception):
    def __init__(self, code):
        super().__init__()
        self.code = code


class Outer:
    class Inner(Exception):
        pass


class Unserializable:
    def __repr__(self):
        return '<unserializable>'


ERRORS = {
    'value': lambda: ValueError('no'), 'key': lambda: KeyError('k'), 'no-arguments': lambda: RuntimeError(), 'zero': lambda: ZeroDivisionError('division by zero'),
    'nested-arguments': lambda: ValueError('a', 1, [2, {'b': None}], (3, 4)), 'custom': lambda: CustomError('custom'), 'two': lambda: TwoArguments(7, 'seven'),
    'own-message': lambda: OwnMessage(7), 'nested-class': lambda: Outer.Inner('inner'), 'unserializable': lambda: ValueError(Unserializable()),
    'unicode': lambda: ValueError('\xe9\u2028\U0001F600'), 'os': lambda: FileNotFoundError(2, 'No such file', 'x.txt'), 'stop': lambda: StopIteration(3),
    'decode': lambda: UnicodeDecodeError('utf-8', b'\xff', 0, 1, 'invalid start byte'), 'assertion': lambda: AssertionError('so'), 'bytes': lambda: ValueError(b'b'),
    'timeout': lambda: TimeoutError('late'), 'none': lambda: ValueError(None), 'long': lambda: ValueError('x' * 3000),
}


@app.task(name='golden.echo')
def echo(value=None):
    return value


@app.task(name='golden.add')
def add(x, y):
    return x + y


@app.task(name='golden.fail')
def fail(kind):
    raise ERRORS[kind]()


@app.task(name='golden.chained')
def chained():
    try:
        raise KeyError('first')
    except KeyError as exc:
        raise ValueError('second') from exc


@app.task(name='golden.unencodable')
def unencodable():
    return Unserializable()


@app.task(name='golden.retry', bind=True, max_retries=1)
def retry(self, *args, **kwargs):
    raise self.retry(exc=ValueError('again'), countdown=60, queue='parked')


@app.task(name='golden.retry_out', bind=True, max_retries=0)
def retry_out(self, with_error):
    if with_error:
        raise self.retry(exc=ValueError('again'), countdown=0)
    raise self.retry(countdown=0)


@app.task(name='golden.autoretry', autoretry_for=(KeyError,), retry_backoff=2, retry_jitter=False, max_retries=5, bind=True)
def autoretry(self):
    raise KeyError('auto')


@app.task(name='golden.reject')
def reject():
    raise Reject('no', requeue=False)


@app.task(name='golden.ignore')
def ignore():
    raise Ignore()


@app.task(name='golden.progress', bind=True)
def progress(self):
    self.update_state(state='PROGRESS', meta={'done': 1, 'total': 3})
    return 'done'


@app.task(name='golden.spawn', bind=True)
def spawn(self):
    from celery import group
    app.send_task('golden.echo', (1,), queue='parked', task_id=self.request.id + '-child')
    group(app.signature('golden.echo', (i,), queue='parked', task_id=f'{self.request.id}-member-{i}') for i in range(2)).apply_async()
    return 'spawned'


@app.task(name='golden.replace', bind=True)
def replace(self):
    raise self.replace(app.signature('golden.echo', (5,), queue='parked'))


@app.task(name='golden.limited', time_limit=30, soft_time_limit=20, rate_limit='100/s', ignore_result=True)
def limited():
    return 1
