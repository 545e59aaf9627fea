"""Writes how an old kombu writes values, as golden data for Marshaler.PlainTypes.

Run with a Python that has the kombu in question, before 5.3:

    python capture_plain.py > plain-kombu-$(python -c 'import kombu; print(kombu.__version__)').json

Each line is one case: "typed" is the value as kombu 5.3 and later write it, "plain" the text that this kombu writes, "error" what it raises.
"""
import json
from base64 import b64encode
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from uuid import UUID

from kombu.utils import json as kjson


def typed(o):
    """kombu 5.7's form of a value (kombu/utils/json.py)."""
    def tag(kind, value):
        return {'__type__': kind, '__value__': value}
    if isinstance(o, datetime):
        return tag('datetime', o.isoformat())
    if isinstance(o, date):
        return tag('date', o.isoformat())
    if isinstance(o, time):
        return tag('time', o.isoformat())
    if isinstance(o, Decimal):
        return tag('decimal', str(o))
    if isinstance(o, UUID):
        return tag('uuid', {'hex': o.hex})
    if isinstance(o, bytes):
        try:
            return tag('bytes', o.decode())
        except UnicodeDecodeError:
            return tag('base64', b64encode(o).decode())
    raise TypeError(o)


east, west = timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-3))
VALUES = [
    datetime(2026, 8, 5, 7, 8, 9), datetime(2026, 8, 5, 7, 8, 9, 10), datetime(2026, 8, 5, tzinfo=timezone.utc),
    datetime(2026, 8, 5, 7, 8, 9, 120000, tzinfo=timezone.utc), datetime(2026, 8, 5, 7, 8, tzinfo=east), datetime(1, 1, 1, tzinfo=west),
    datetime(9999, 12, 31, 23, 59, 59, 999999), date(2026, 8, 5), date(1, 1, 1), time(7, 8), time(7, 8, 9, 10), time(7, 8, tzinfo=timezone.utc),
    time(7, 8, 9, tzinfo=east), Decimal('1.0'), Decimal('1E+3'), Decimal('-0.00'), Decimal('NaN'), UUID(int=0), UUID(int=2**128 - 1),
    UUID('12345678-1234-5678-9abc-def012345678'), b'', b'text', b'\xff\x00', 1, 1.0, 1e16, 1e-5, float('nan'), float('inf'), -float('inf'), 2**70, True, None,
    'é\x7f\u2028\U0001F600', [1, 2.5, [Decimal('2')]], {'a': date(2026, 8, 5), 'b': {'c': UUID(int=1)}}, {'k': [time(1, 2), datetime(2020, 1, 1)]}, {'bytes': b'x'},
]

for value in VALUES:
    case = {'typed': json.dumps(value, default=typed)}
    try:
        case['plain'] = kjson.dumps(value)
    except Exception as exc:
        case['error'] = '%s: %s' % (type(exc).__name__, exc)
    print(json.dumps(case))
