"""The values that travel through every serializer."""
import uuid
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal

EAST = timezone(timedelta(hours=5, minutes=30))
VALUES = {
    'none': None, 'true': True, 'false': False, 'zero': 0, 'minus-one': -1, 'int-2^31': 2**31, 'int-2^53+1': 2**53 + 1, 'int-2^63-1': 2**63 - 1,
    'int--2^63': -2**63, 'int-2^64-1': 2**64 - 1, 'int-2^70': 2**70, 'int-40-digits': int('1234567890' * 4), 'float-zero': 0.0, 'float-minus-zero': -0.0,
    'float-one': 1.0, 'float-1e16': 1e16, 'float-1e-5': 1e-5, 'float-big': 1.7976931348623157e308, 'float-tiny': 5e-324, 'float-tenth': 0.1, 'nan': float('nan'),
    'infinity': float('inf'), 'minus-infinity': -float('inf'), 'empty': '', 'text': 'plain text', 'quotes': 'a"b\'c\\d/e', 'lines': 'a\nb\r\nc\td', 'nul': 'a\x00b',
    'latin': '\xe9\xfc\xdf', 'separators': '\u2028\u2029\x85', 'emoji': '\U0001F600\U0001F468\u200d\U0001F469', 'surrogate': 'x\ud800y', 'del': '\x7f\x1b',
    'like-yaml': ['yes', 'no', 'null', '~', '1', '1.0', '0x10', '1e3', '2026-08-05', '- a', 'a: b', '#c', ' x ', '!t', '&a', '*a', '%', '@', '1_000', '12:30:45'],
    'list': [1, [2, [3, []]], {}], 'tuple': (1, 'two', (3,)), 'dict': {'b': 1, 'a': {'c': [None, True]}}, 'empty-key': {'': 1}, 'int-keys': {1: 'a', 2: 'b'},
    'odd-keys': {'__type__': 'x'}, 'typed-lookalike': {'__type__': 'datetime', '__value__': '2026-08-05T07:08:09'}, 'deep': [[[[[[[[[[[[1]]]]]]]]]]]],
    'bytes': b'text', 'bytes-binary': b'\xff\x00\xfe', 'bytes-empty': b'', 'datetime-naive': datetime(2026, 8, 5, 7, 8, 9, 10),
    'datetime-utc': datetime(2026, 8, 5, 7, 8, 9, tzinfo=timezone.utc), 'datetime-east': datetime(2026, 8, 5, 7, 8, tzinfo=EAST), 'datetime-first': datetime(1, 1, 1),
    'date': date(2026, 8, 5), 'time': time(7, 8, 9), 'time-fraction': time(7, 8, 9, 10), 'decimal': Decimal('12.3400'), 'decimal-nan': Decimal('NaN'),
    'decimal-exponent': Decimal('1E+30'), 'uuid': uuid.UUID('12345678-1234-5678-9abc-def012345678'), 'set': {1}, 'complex': 1j, 'timedelta': timedelta(hours=1, seconds=2),
    'many': list(range(60)), 'text-600': 'ab' * 300, 'mixed': [1, 1.0, '1', True, None, 'x' * 40, {'k': [1.5, 'y']}],
}
