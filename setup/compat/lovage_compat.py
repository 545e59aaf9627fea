"""Lets Celery 4.4 run on Python 3.11, which has removed names that its dependency vine 1.3 imports."""
import inspect

if not hasattr(inspect, "formatargspec"):
    def formatargspec(args, varargs=None, varkw=None, defaults=None, *rest, **options):
        first = len(args) - len(defaults or ())
        parts = [a if i < first else "%s=%r" % (a, defaults[i - first]) for i, a in enumerate(args)]
        parts += ["*" + varargs] if varargs else []
        parts += ["**" + varkw] if varkw else []
        return "(%s)" % ", ".join(parts)

    inspect.formatargspec = formatargspec
if not hasattr(inspect, "getargspec"):
    inspect.getargspec = inspect.getfullargspec
