package canvas

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lovage-go/lovage/protocol"
)

// apply sends a signature: Signature.apply_async of each kind. args are the parent's results, given the options that go over its own.
func (c *Composer) apply(s *Signature, args []protocol.Raw, given options) (*Result, error) {
	switch s.Kind {
	case kindChain:
		return c.applyChain(s, args, given)
	case kindGroup:
		return c.applyGroup(s, args, given)
	case kindChord:
		return c.applyChord(s, args, given)
	case "chunks":
		return c.applyChunks(s, given)
	}
	return c.send(s, s.withArgs(args), s.options.merge(given.given()))
}

// Apply sends a signature and returns the promise of its result; nil when there is nothing to send.
func (c *Composer) Apply(s *Signature, args ...protocol.Raw) (*Result, error) {
	return c.apply(s, args, nil)
}

// applyChunks sends a sequence of calls in parts of n: a group of celery.starmap.
func (c *Composer) applyChunks(s *Signature, given options) (*Result, error) {
	group, err := Chunks(s)
	if err != nil {
		return nil, err
	}
	return c.applyGroup(group, nil, s.options.merge(given))
}

// Chunks is the group that a celery.chunks signature stands for.
func Chunks(s *Signature) (*Signature, error) {
	size, ok := integer(member(s.Kwargs, "n"))
	items, err := member(s.Kwargs, "it").Elements()
	if err != nil || !ok || size < 1 {
		return nil, fmt.Errorf("%s: bad arguments it or n", s.Task)
	}
	var tasks []*Signature
	for part := range slices.Chunk(items, size) {
		tasks = append(tasks, &Signature{
			Task: "celery.starmap", Kind: "xstarmap", Immutable: true, inner: s.inner,
			Kwargs: protocol.Object{{Name: "task", Value: member(s.Kwargs, "task")}, {Name: "it", Value: protocol.Array(part)}},
		})
	}
	return newGroup(tasks), nil
}

func integer(raw protocol.Raw) (int, bool) {
	n, err := strconv.Atoi(string(raw))
	return n, err == nil
}

func seconds(raw protocol.Raw) (time.Duration, bool) {
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || math.IsNaN(f) || math.Abs(f) > 1e9 {
		return 0, false
	}
	return time.Duration(f * float64(time.Second)), true
}

// notProperties are the options of send_task that have a meaning of their own; all others end up in the message's properties.
var notProperties = map[string]bool{
	"countdown": true, "eta": true, "task_id": true, "producer": true, "connection": true, "router": true, "result_cls": true, "expires": true, "publisher": true, "link": true,
	"link_error": true, "add_to_parent": true, "group_id": true, "group_index": true, "retries": true, "chord": true, "reply_to": true, "time_limit": true, "soft_time_limit": true,
	"root_id": true, "parent_id": true, "route_name": true, "shadow": true, "chain": true, "task_type": true, "replaced_task_nesting": true, "ignore_result": true, "exchange": true,
	"routing_key": true, "queue": true, "event_dispatcher": true, "retry": true, "retry_policy": true, "serializer": true, "delivery_mode": true, "compression": true, "declare": true,
	"headers": true, "exchange_type": true, "timeout": true, "confirm_timeout": true, "stamped_headers": true, "priority": true,
}

// send composes one task's message (celery/app/base.py, send_task).
func (c *Composer) send(s *Signature, args []protocol.Raw, o options) (*Result, error) {
	o = o.given()
	name := s.Task
	m, err := c.taskMessage(name, args, s.Kwargs, o)
	if err == nil && s.inner != nil {
		m.KwargsRepr = strings.Replace(protocol.ReprKwargs(s.Kwargs, 0), "'args': "+protocol.Repr(protocol.Array(s.inner.Args), 0), "'args': "+protocol.ReprArgs(s.inner.Args, 0), 1)
	}
	if err != nil {
		return nil, fmt.Errorf("send %s: %w", name, err)
	}
	message, err := m.Message()
	if err != nil {
		return nil, fmt.Errorf("send %s: %w", name, err)
	}
	stamps := o.stampedHeaders()
	for _, e := range o {
		if !notProperties[e.name] && !slices.Contains(stamps, e.name) {
			message.Properties.Extra = message.Properties.Extra.Set(e.name, c.encoder.value(e))
		}
	}
	if !m.Expires.IsZero() {
		left := max(0, m.Expires.Sub(c.Now).Milliseconds())
		message.Properties.Extra = message.Properties.Extra.Set("expiration", protocol.Quote(strconv.FormatInt(left, 10)))
	}
	send := Send{Message: message, ID: m.ID, Task: name, Priority: m.Priority, Queue: o.text("queue"), Exchange: o.text("exchange"), RoutingKey: o.text("routing_key")}
	if send.Exchange == "" || send.RoutingKey == "" {
		if send.Queue == "" {
			route := name
			if r := o.text("route_name"); r != "" {
				route = r
			}
			send.Queue = c.Queue(route)
		}
		send.Exchange, send.RoutingKey = "", send.Queue
	}
	message.Properties.Exchange, message.Properties.RoutingKey = send.Exchange, send.RoutingKey
	c.Sends = append(c.Sends, send)
	result := &Result{ID: m.ID}
	if at := o.find("add_to_parent"); at < 0 || string(o[at].raw) != "false" {
		c.Children = append(c.Children, result)
	}
	return result, nil
}

func (c *Composer) taskMessage(name string, args []protocol.Raw, kwargs protocol.Object, o options) (*protocol.TaskMessage, error) {
	m := &protocol.TaskMessage{
		ID: firstOf(o.text("task_id"), ""), Name: name, Args: args, Kwargs: kwargs,
		RootID: firstOf(o.text("root_id"), c.RootID), ParentID: firstOf(o.text("parent_id"), c.ParentID), GroupID: o.text("group_id"), Shadow: o.text("shadow"),
		Origin: firstOf(o.text("origin"), c.Node), ReplyTo: firstOf(o.text("reply_to"), c.ReplyTo),
		Serializer: c.Serializer, Compression: firstOf(o.text("compression"), c.Compression), DeliveryTag: c.NewID(),
	}
	if m.ID == "" {
		m.ID = c.NewID()
	}
	if serializer := o.text("serializer"); serializer != "" {
		m.Serializer = protocol.Serializer(serializer)
	}
	if index, ok := integer(o.get("group_index")); ok {
		m.GroupIndex = &index
	}
	m.Priority, _ = integer(o.get("priority"))
	m.Retries, _ = integer(o.get("retries"))
	m.ReplacedTaskNesting, _ = integer(o.get("replaced_task_nesting"))
	m.HardTimeLimit, _ = seconds(o.get("time_limit"))
	m.SoftTimeLimit, _ = seconds(o.get("soft_time_limit"))
	if strings.HasPrefix(name, "celery.") { // every Celery has these, and writes their own option
		m.IgnoreResult = new(bool)
	}
	if ignore := string(o.get("ignore_result")); ignore != "" {
		m.IgnoreResult = new(bool)
		*m.IgnoreResult = ignore == "true"
	}
	if err := c.times(m, o); err != nil {
		return nil, err
	}
	if err := c.followUps(m, o); err != nil {
		return nil, err
	}
	if headers := o.get("headers"); len(headers) > 0 {
		var err error
		if m.Headers, err = headers.Members(); err != nil {
			return nil, fmt.Errorf("headers: %w", err)
		}
	}
	if names := o.get("stamped_headers"); len(names) > 0 {
		m.StampedHeaders = names
		stamps := protocol.Object{}
		for _, name := range o.stampedHeaders() {
			if at := o.find(name); at >= 0 {
				stamps = stamps.Set(name, o[at].raw)
			}
		}
		m.Stamps = stamps.Raw()
	}
	return m, nil
}

// followUps fills the embed. A null list stays null, an empty one empty.
func (c *Composer) followUps(m *protocol.TaskMessage, o options) error {
	lists := []struct {
		name string
		into *[]protocol.Raw
	}{{"link", &m.Callbacks}, {"link_error", &m.Errbacks}, {"chain", &m.Chain}}
	for _, l := range lists {
		if raw := o.get(l.name); len(raw) > 0 {
			*l.into = append([]protocol.Raw{}, maybeList(raw)...)
		}
	}
	if at := o.find("chord"); at >= 0 {
		m.Chord = c.encoder.value(o[at])
	}
	return nil
}

func (c *Composer) times(m *protocol.TaskMessage, o options) error {
	if countdown, ok := seconds(o.get("countdown")); ok && countdown != 0 {
		m.ETA = c.Now.Add(countdown)
	} else if eta := o.text("eta"); eta != "" {
		t, err := protocol.ParseTime(eta)
		if err != nil {
			return fmt.Errorf("eta: %w", err)
		}
		m.ETA = t.Time
	}
	if after, ok := seconds(o.get("expires")); ok {
		m.Expires = c.Now.Add(after)
	} else if at := o.text("expires"); at != "" {
		t, err := protocol.ParseTime(at)
		if err != nil {
			return fmt.Errorf("expires: %w", err)
		}
		m.Expires = t.Time
	}
	return nil
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
