"""The shapes of the matrix. Each is a function that builds a canvas; tasks have a label, n, under which their log is compared."""
from celery import chain, chord, group

from app import app

shapes = {}


class Labels:
    """Makes signatures whose label is <row>:<number>, on the queues a and b in turn."""

    def __init__(self, row):
        self.row, self.count = row, 0

    def __getattr__(self, name):
        def make(*args, **options):
            self.count += 1
            sig = app.tasks["c." + name.rstrip("_")].s(*args, n="%s:%d" % (self.row, self.count), **options.pop("kw", {}))
            sig.set(queue="ab"[self.count % 2], **options)
            if name.endswith("_"):
                sig.set_immutable(True)
            return sig

        return make


def shape(f):
    shapes[f.__name__] = f
    return f


# Shapes with which Celery hangs, or that it refuses: they are run by Lovage alone.
beyond = {}


def better(f):
    beyond[f.__name__] = f
    return f


# chains
@shape
def one(t): return t.add(1, 2)
@shape
def chain_two(t): return t.add(1, 2) | t.add(3)
@shape
def chain_five(t): return chain(t.add(1, 2), t.add(3), t.add(4), t.add(5), t.add(6))
@shape
def chain_of_chains(t): return chain(t.add(1, 2), chain(t.add(3), t.add(4)), t.add(5))
@shape
def chain_immutable(t): return t.add(1, 2) | t.add_(7, 8) | t.add(1)
@shape
def chain_fails_first(t): return t.fail(1) | t.add(3) | t.add(4)
@shape
def chain_fails_middle(t): return t.add(1, 2) | t.fail() | t.add(4)
@shape
def chain_fails_last(t): return t.add(1, 2) | t.add(3) | t.fail()
@shape
def chain_retries(t): return t.add(1, 2) | t.flaky(2) | t.add(4)
@shape
def chain_gives_up(t): return t.add(1, 2) | t.giveup() | t.add(4)
@shape
def chain_into_group(t): return t.add(1, 2) | group(t.add(1), t.add(2), t.add(3))
@shape
def chain_into_group_of_one(t): return t.add(1, 2) | group(t.add(1))
@shape
def chain_into_group_of_chains(t): return t.add(1, 2) | group(t.add(1) | t.add(10), t.add(2) | t.add(20))
@shape
def chain_ignored(t): return t.add(1, 2) | t.ignored() | t.echo()


# links
@shape
def link_one(t): return t.add(1, 2, link=[t.add(10)])
@shape
def link_two(t): return t.add(1, 2, link=[t.add(10), t.echo()])
@shape
def link_immutable(t): return t.add(1, 2, link=[t.add_(1, 1)])
@shape
def link_chain(t): return t.add(1, 2, link=[t.add(10) | t.add(20)])
@shape
def link_group(t): return t.add(1, 2, link=[group(t.add(10), t.add(20))])
@shape
def link_group_and_task(t): return t.add(1, 2, link=[group(t.add(10), t.add(20)), t.echo()])
@shape
def link_chord(t): return t.add(1, 2, link=[chord([t.add(10), t.add(20)], t.tsum())])
@shape
def link_of_link(t): return t.add(1, 2, link=[t.add(10, link=[t.add(100)])])
@shape
def link_fails(t): return t.add(1, 2, link=[t.fail()])
@shape
def link_not_on_failure(t): return t.fail(link=[t.add(10)])
@shape
def link_in_chain(t): return t.add(1, 2, link=[t.echo()]) | t.add(3, link=[t.echo()])


# link_error
@shape
def errback_old(t): return t.fail(link_error=[t.errback()])
@shape
def errback_old_two(t): return t.fail(link_error=[t.errback(), t.errback()])
@shape
def errback_immutable(t): return t.fail(link_error=[t.echo_("told")])
@shape
def errback_new(t): return t.fail(link_error=[t.errback3()])
@shape
def errback_both(t): return t.fail(link_error=[t.errback3(), t.errback()])
@shape
def errback_not_on_success(t): return t.add(1, 2, link_error=[t.errback()])
@shape
def errback_of_chain(t):
    return chain(t.add(1, 2), t.fail(), t.add(3)).on_error(t.errback())
@shape
def errback_of_step(t): return chain(t.add(1, 2), t.fail(link_error=[t.errback()]), t.add(3))
@shape
def errback_after_retries(t): return t.giveup(link_error=[t.errback()])
@shape
def errback_fails(t): return t.fail(link_error=[t.fail()])


# groups
@shape
def group_three(t): return group(t.add(1, 1), t.add(2, 2), t.add(3, 3))
@shape
def group_of_one(t): return group([t.add(1, 1)])
@shape
def group_of_groups(t): return group(t.add(1, 1), group(t.add(2, 2), t.add(3, 3)), t.add(4, 4))
@shape
def group_of_chains(t): return group(t.add(1, 1) | t.add(1), t.add(2, 2) | t.add(1))
@shape
def group_with_failure(t): return group(t.add(1, 1), t.fail(), t.add(3, 3))
@shape
def group_retries(t): return group(t.flaky(1), t.flaky(2, 2))
@shape
def group_chain_ends_in_group(t): return group(t.add(1, 1) | group(t.add(1), t.add(2)), t.add(5, 5))
@shape
def group_of_chords(t): return group(chord([t.add(1, 1), t.add(2, 2)], t.tsum()), chord([t.add(3, 3)], t.tsum()))


# chords
@shape
def chord_plain(t): return chord([t.add(i, i) for i in range(5)], t.tsum())
@shape
def chord_order(t): return chord([t.add(i, 0) for i in range(12)], t.echo())
@shape
def chord_of_one(t): return chord([t.add(1, 1)], t.tsum())
@shape
def chord_empty(t): return chord([], t.tsum())
@shape
def chord_immutable_body(t): return chord([t.add(1, 1), t.add(2, 2)], t.add_(5, 5))
@shape
def chord_header_of_groups(t): return chord(group(t.add(1, 1), group(t.add(2, 2), t.add(3, 3)), t.add(4, 4)), t.echo())
@shape
def chord_header_of_chains(t): return chord([t.add(1, 1) | t.add(10), t.add(2, 2) | t.add(20)], t.echo())
@shape
def chord_header_chain_into_group(t): return chord([t.add(1, 1) | group(t.add(10), t.add(20)), t.add(2, 2)], t.echo())
@shape
def chord_header_of_chords(t): return chord([chord([t.add(1, 1), t.add(2, 2)], t.tsum()), t.add(3, 3)], t.echo())
@shape
def chord_body_chain(t): return chord([t.add(1, 1), t.add(2, 2)], t.tsum() | t.add(100) | t.add(1000))
@shape
def chord_body_group(t): return chord([t.add(1, 1), t.add(2, 2)], group(t.tsum(), t.echo()))
@shape
def chord_body_chord(t): return chord([t.add(1, 1), t.add(2, 2)], chord([t.tsum(), t.echo()], t.echo()))
@shape
def chord_body_chain_ends_in_group(t): return chord([t.add(1, 1), t.add(2, 2)], t.tsum() | group(t.add(1), t.add(2)))
@shape
def chord_member_fails(t): return chord([t.add(1, 1), t.fail(), t.add(3, 3)], t.tsum())
@shape
def chord_members_fail(t): return chord([t.fail(), t.fail()], t.tsum())
@shape
def chord_member_fails_errback(t):
    body = t.tsum()
    body.link_error(t.errback())
    return chord([t.add(1, 1), t.fail()], body)
@shape
def chord_member_fails_errback_new(t):
    body = t.tsum()
    body.link_error(t.errback3())
    return chord([t.add(1, 1), t.fail()], body)
@shape
def chord_member_fails_body_chain(t): return chord([t.add(1, 1), t.fail()], t.tsum() | t.add(1) | t.add(2))
@shape
def chord_member_fails_body_group(t): return chord([t.add(1, 1), t.fail()], group(t.tsum(), t.echo()))
@shape
def chord_body_fails(t): return chord([t.add(1, 1), t.add(2, 2)], t.fail())
@shape
def chord_body_fails_errback(t): return chord([t.add(1, 1), t.add(2, 2)], t.fail(link_error=[t.errback()]))
@shape
def chord_member_retries(t): return chord([t.flaky(1), t.flaky(2, 2), t.add(3, 3)], t.echo())
@shape
def chord_member_gives_up(t): return chord([t.giveup(1), t.add(3, 3)], t.echo())
@shape
def chord_body_retries(t): return chord([t.add(1, 1), t.add(2, 2)], t.flaky(2))
@shape
def chord_member_links(t): return chord([t.add(1, 1, link=[t.echo()]), t.add(2, 2)], t.tsum())
@shape
def chord_member_chain_fails_first(t): return chord([t.fail() | t.add(1) | t.add(2), t.add(3, 3)], t.tsum())
@shape
def chord_member_chain_fails_last(t): return chord([t.add(1, 1) | t.fail(), t.add(3, 3)], t.tsum())
@better
def chord_nested_fails(t): return chord([chord([t.fail(), t.add(2, 2)], t.tsum()), t.add(3, 3)], t.echo())
@shape
def chord_complex_fails(t): return chord([t.add(1, 1) | group(t.fail(), t.add(20)), t.add(2, 2)], t.echo())
@shape
def chord_ignored_member(t): return chord([t.ignored(1), t.add(2, 2)], t.echo())
@shape
def chord_twenty(t): return chord([t.add(i, i) for i in range(20)], t.tsum())


# chords in chains
@shape
def chain_group_task(t): return chain(t.add(1, 2), group(t.add(1), t.add(2)), t.tsum())
@shape
def chain_group_task_task(t): return chain(t.add(1, 2), group(t.add(1), t.add(2)), t.tsum(), t.add(5), t.add(6))
@shape
def chain_chord_task(t): return chain(t.add(1, 2), chord([t.add(1), t.add(2)], t.tsum()), t.add(5))
@shape
def chain_two_chords(t): return chain(group(t.add(1, 1), t.add(2, 2)), t.tsum(), group(t.add(1), t.add(2)), t.tsum())
@shape
def chain_group_group(t): return chain(group(t.add(1, 1), t.add(2, 2)), group(t.echo(), t.echo()))
@shape
def chain_three_chords(t):
    return chain(t.add(1, 1), group(t.add(1), t.add(2)), t.tsum(), group(t.add(1), t.add(2)), t.tsum(), group(t.add(1), t.add(2)), t.tsum())
@shape
def chain_chord_member_fails(t): return chain(t.add(1, 2), group(t.add(1), t.fail()), t.tsum(), t.add(5))
@shape
def chain_fails_before_chord(t): return chain(t.fail(), group(t.add(1), t.add(2)), t.tsum(), t.add(5))
@shape
def chain_chord_error_callback(t):
    return chain(t.add(1, 2), group(t.add(1), t.fail()), t.tsum()).on_error(t.errback())
@shape
def chain_ends_in_chord_with_group_body(t): return chain(t.add(1, 2), chord([t.add(1), t.add(2)], group(t.echo(), t.tsum())))
@shape
def chain_deep(t):
    return chain(t.add(1, 1), group(t.add(1) | group(t.add(1), t.add(2)) | t.tsum(), t.add(3)), t.tsum(), t.add(1))
@shape
def chain_of_forty(t): return chain(*([t.add(0, 1)] + [t.add(1) for _ in range(39)]))


# chunks, map, starmap
@shape
def chunks(t): return app.tasks["c.add"].chunks(zip(range(10), range(10)), 3).group()
@shape
def xmap(t): return app.tasks["c.tsum"].map([[1, 2], [3, 4], []])
@shape
def starmap(t): return app.tasks["c.add"].starmap([(1, 2), (3, 4)])
@shape
def starmap_in_chord(t): return t.add(1, 2) | chord([app.tasks["c.add"].starmap([(1, 2), (3, 4)])], t.echo())


# replace, add_to_chord
@shape
def replace_task(t): return t.replace(1, kw={"sig": t.add(2)})
@shape
def replace_chain(t): return t.replace(kw={"sig": t.add(1, 2) | t.add(3)})
@shape
def replace_group(t): return t.replace(kw={"sig": group(t.add(1, 2), t.add(3, 4))})
@shape
def replace_chord(t): return t.replace(kw={"sig": chord([t.add(1, 2), t.add(3, 4)], t.tsum())})
@shape
def replace_in_chain(t): return t.add(1, 2) | t.replace(kw={"sig": t.add(10)}) | t.add(100)
@shape
def replace_chain_in_chain(t): return t.add(1, 2) | t.replace(kw={"sig": t.add_(5, 5) | t.add(6)}) | t.add(100)
@shape
def replace_group_in_chain(t): return t.add(1, 2) | t.replace(kw={"sig": group(t.add_(1, 1), t.add_(2, 2))}) | t.echo()
@shape
def replace_in_chord(t): return chord([t.replace(1, kw={"sig": t.add(5)}), t.add(2, 2)], t.echo())
@shape
def replace_chain_in_chord(t): return chord([t.replace(kw={"sig": t.add(1, 1) | t.add(5)}), t.add(2, 2)], t.echo())
@shape
def replace_with_links(t): return t.replace(1, kw={"sig": t.add(2)}, link=[t.echo()], link_error=[t.errback()])
@shape
def replace_fails(t): return t.replace(1, kw={"sig": t.fail()}, link_error=[t.errback()])
@shape
def replace_twice(t): return t.replace(1, kw={"sig": t.replace(kw={"sig": t.add(3)})})
@shape
def replace_body(t): return chord([t.add(1, 1), t.add(2, 2)], t.replace(kw={"sig": t.tsum()}))
@shape
def add_to_chord(t): return chord([t.addto(1, kw={"sig": t.add(7, 7)}), t.add(2, 2)], t.tsum())


# stamps
@shape
def stamped(t):
    sig = chain(t.add(1, 2, link=[t.echo()]), group(t.add(1), t.add(2)), t.tsum())
    sig.stamp(tenant="acme")
    return sig
