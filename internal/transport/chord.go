package transport

import (
	"context"
	"fmt"
	"time"

	"github.com/gomodule/redigo/redis"
)

// ChordKeys are the keys of one chord in the result backend (celery/backends/redis.py).
type ChordKeys struct {
	// Base is the key of the saved group result; the others are it with a suffix.
	Base string
}

func (k ChordKeys) results() string    { return k.Base + ".j" }
func (k ChordKeys) difference() string { return k.Base + ".t" }
func (k ChordKeys) size() string       { return k.Base + ".s" }
func (k ChordKeys) counted() string    { return k.Base + ".d" }
func (k ChordKeys) dispatch() string   { return k.Base + ".c" }

// dispatchSeconds is how long a complete chord is its last member's to dispatch, as with Celery's default result_chord_join_timeout; doneSeconds how long a late copy of a member finds
// that the chord is done.
const (
	dispatchSeconds = 6
	doneSeconds     = 300
)

// Part is the end of one member of a chord.
type Part struct {
	Keys ChordKeys
	// ID is the member's, Score its place ("+inf" for none), Value what is kept of it.
	ID, Score string
	Value     []byte
	// Ordered keeps the results by place (result_chord_ordered), else in the order of their coming. All workers of a chord must agree.
	Ordered bool
	// Expires is how long the chord's keys are kept; 0: for ever.
	Expires time.Duration
}

func (p Part) token() string { return "lovage:" + p.ID + ":" + p.Score }

// CountPart counts a member of a chord, once. It must stand in front of all other effects of its settlement: when it makes the chord complete they are not carried out,
// the claim stays, and the Answer names the settlement.
func CountPart(p Part) Effect {
	seconds := int64(p.Expires / time.Second)
	return Effect{
		op:   'C',
		keys: []string{p.Keys.results(), p.Keys.difference(), p.Keys.size(), p.Keys.counted(), p.Keys.Base, p.Keys.dispatch()},
		args: []any{p.ID, p.Value, flag(p.Ordered), p.Score, seconds, seconds, dispatchSeconds, p.token()},
	}
}

func flag(on bool) int {
	if on {
		return 1
	}
	return 0
}

// FinishChord removes the keys of a chord that a part has made complete. The effects behind it, as many as follow says, are carried out only if the
// chord is still this part's to dispatch.
func FinishChord(p Part, follow int) Effect {
	return Effect{
		op:   'F',
		keys: []string{p.Keys.results(), p.Keys.difference(), p.Keys.size(), p.Keys.counted(), p.Keys.dispatch()},
		args: []any{p.token(), doneSeconds, follow},
	}
}

// SetChordSize says how many members a chord has.
func SetChordSize(keys ChordKeys, size int, ttl time.Duration) Effect {
	return Effect{op: 'Z', keys: []string{keys.size(), keys.dispatch()}, args: []any{size, ttl.Milliseconds()}}
}

// SetValue sets a key among the results for ttl (0 = for ever).
func SetValue(key string, value []byte, ttl time.Duration) Effect {
	return Effect{op: 'V', key: key, args: []any{value, ttl.Milliseconds()}}
}

// ChordResults reads what the members of a chord have left: their values in order, and the saved group result, nil for none.
func (b *Broker) ChordResults(ctx context.Context, keys ChordKeys, ordered bool) (values [][]byte, group []byte, err error) {
	conn, err := b.readPool.GetContext(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("read chord %s: %w", keys.Base, err)
	}
	defer conn.Close()
	command := "LRANGE"
	if ordered {
		command = "ZRANGE"
	}
	if values, err = redis.ByteSlices(redis.DoContext(conn, ctx, command, keys.results(), 0, -1)); err == nil {
		group, err = redis.Bytes(redis.DoContext(conn, ctx, "GET", keys.Base))
	}
	if err != nil && err != redis.ErrNil {
		return nil, nil, fmt.Errorf("read chord %s: %w", keys.Base, err)
	}
	return values, group, nil
}

// GrowChord makes a chord wait for one member more, once for each member. It must stand in front of the CountPart of the member that adds it.
func GrowChord(keys ChordKeys, id string) Effect {
	return Effect{op: 'I', keys: []string{keys.difference(), keys.counted()}, args: []any{id}}
}

// ReadResult reads a key of the result backend; nil when it is not there.
func (b *Broker) ReadResult(ctx context.Context, key string) ([]byte, error) {
	conn, err := b.readPool.GetContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	defer conn.Close()
	data, err := redis.Bytes(redis.DoContext(conn, ctx, "GET", key))
	if err != nil && err != redis.ErrNil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	return data, nil
}
