"""Reads and writes what Lovage's package cache keeps in Redis: the same keys, the same checks. One file, to be copied.

    key = cache_key("risk_map", {"access_mode": "public", "data_type": "predicted", "prediction_run_id": "r-7"}, "tile", "7")
    value = Cache(redis.Redis(...)).get(key)          # None is a miss

The shared vectors are in cache/testdata/vectors.json.
"""
import dataclasses
import datetime
import hashlib
import json
import re

VERSION = "1"
_NAME = re.compile(r"[a-z][a-z0-9_.]{0,63}")
_FORMS = {
    "access_mode": re.compile(r"[a-z][a-z0-9_]{0,31}"),
    "region_scope": re.compile(r"[a-z][a-z0-9_]{0,31}"),
    "weather_type": re.compile(r"[a-z][a-z0-9_]{0,31}"),
    "region_code": re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"),
    "product_id": re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"),
    "prediction_run_id": re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"),
}
_DATA_TYPES = ("historical", "observed", "predicted")


@dataclasses.dataclass(frozen=True)
class Key:
    text: str
    mode: str
    run: str
    tags: tuple


def _instant(text: str) -> str:
    time = datetime.datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError("time_range: %s has no offset" % text)
    time = time.astimezone(datetime.timezone.utc)
    fraction = (".%06d" % time.microsecond).rstrip("0") if time.microsecond else ""
    return time.strftime("%Y-%m-%dT%H:%M:%S") + fraction + "Z"


def cache_key(name: str, dimensions: dict, *parts: str) -> Key:
    """The key of a value about the given dimensions. ValueError without an access mode, or for predicted data without a run, or a run without predicted data."""
    d = {k: v for k, v in dimensions.items() if v}
    for field, form in _FORMS.items():
        if field in d and not form.fullmatch(d[field]):
            raise ValueError("%s: %.40r is not well formed" % (field, d[field]))
    if d.get("data_type", "observed") not in _DATA_TYPES:
        raise ValueError("data_type: %r" % d["data_type"])
    if not _NAME.fullmatch(name):
        raise ValueError("name: %r" % name)
    predicted = d.get("data_type") == "predicted"
    if "access_mode" not in d or predicted != ("prediction_run_id" in d):
        raise ValueError("a cache key needs an access mode, and a prediction run for predicted data")
    if "time_range" in d:
        d["time_range"] = "/".join(_instant(t) for t in d["time_range"].split("/", 1))
    fields = ["lovage:cache:" + VERSION, name]
    for label, field in (("mode", "access_mode"), ("run", "prediction_run_id"), ("type", "data_type"), ("product", "product_id"), ("scope", "region_scope"),
                         ("region", "region_code"), ("weather", "weather_type"), ("time", "time_range")):
        if field in d:
            fields.append(label + "=" + d[field])
    if parts:
        digest = hashlib.sha256()
        for part in parts:
            raw = part.encode()
            digest.update(b"%d:%s" % (len(raw), raw))
        fields.append("parts=" + digest.digest()[:16].hex())
    tags = tuple(label + "=" + d[field] for label, field in (("run", "prediction_run_id"), ("region", "region_code"), ("product", "product_id")) if field in d)
    return Key("|".join(fields), d["access_mode"], d.get("prediction_run_id", ""), tags)


class Cache:
    def __init__(self, redis):
        self.redis = redis

    def _read(self, key: Key):
        raw, *now = self.redis.mget([key.text] + ["lovage:cache:generation:" + tag for tag in key.tags])
        return raw, [g.decode() if isinstance(g, bytes) else (g or "") for g in now]

    def get(self, key: Key):
        """The value, or None: not there, invalidated, or put under this key by somebody who had no business to."""
        try:
            raw, generations = self._read(key)
            if raw is None:
                return None
            envelope = json.loads(raw)
            if envelope.get("mode") != key.mode or envelope.get("run") != key.run:
                self.redis.delete(key.text)
                return None
            return envelope["value"] if (envelope.get("generations") or []) == generations else None
        except (OSError, ValueError, KeyError, AttributeError):
            return None
        except Exception as error:  # redis.RedisError, without importing redis: a cache that is away is a miss
            if type(error).__module__.split(".")[0] == "redis":
                return None
            raise

    def set(self, key: Key, value, seconds: float):
        _, generations = self._read(key)
        self.redis.set(key.text, json.dumps({"mode": key.mode, "run": key.run, "generations": generations, "value": value}), px=max(1, int(seconds * 1000)))
