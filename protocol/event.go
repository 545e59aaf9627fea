package protocol

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// Event is what workers and producers tell monitors (celery/events/event.py).
type Event struct {
	// Type is "task-received", "worker-heartbeat", ...
	Type     string
	Hostname string
	// UTCOffset is the sender's, in hours west of UTC as Celery counts it; half hours exist.
	UTCOffset float64
	PID       int
	// Clock is the sender's Lamport clock, 0 for an event without one (null); Timestamp seconds since 1970.
	Clock     int64
	Timestamp float64
	// Fields are the type's own: uuid, name, args, runtime, ...
	Fields Object
}

// Raw writes the event as Celery does: the common fields first.
func (e Event) Raw() Raw {
	clock := Null()
	if e.Clock != 0 {
		clock = strconv.AppendInt(nil, e.Clock, 10)
	}
	object := Object{
		{"hostname", Quote(e.Hostname)}, {"utcoffset", AppendFloat(nil, e.UTCOffset)}, {"pid", Raw(strconv.Itoa(e.PID))}, {"clock", clock},
	}
	object = append(object, e.Fields...)
	return append(object, Member{"timestamp", AppendFloat(nil, e.Timestamp)}, Member{"type", Quote(e.Type)}).Raw()
}

// DecodeEvent reads one event.
func DecodeEvent(raw Raw) (Event, error) {
	members, err := raw.Members()
	if err != nil {
		return Event{}, fmt.Errorf("read event: %w", err)
	}
	var e Event
	for _, member := range members {
		switch member.Name {
		case "type":
			e.Type = looseText(member.Value)
		case "hostname":
			e.Hostname = looseText(member.Value)
		case "utcoffset":
			e.UTCOffset, _ = strconv.ParseFloat(string(member.Value), 64)
		case "pid":
			e.PID, _ = looseInt(member.Value)
		case "clock":
			e.Clock, _ = strconv.ParseInt(string(member.Value), 10, 64)
		case "timestamp":
			e.Timestamp, _ = strconv.ParseFloat(string(member.Value), 64)
		default:
			e.Fields = append(e.Fields, member)
		}
	}
	if e.Type == "" {
		return e, fmt.Errorf("read event: %w: it has no type", ErrSyntax)
	}
	return e, nil
}

// DecodeEvents reads the payload of an event message: one event, or the list of a buffered batch (task.multi).
func DecodeEvents(body Raw) ([]Event, error) {
	list := []Raw{body}
	if i := skipSpace(body, 0); i < len(body) && body[i] == '[' {
		var err error
		if list, err = body.Elements(); err != nil {
			return nil, fmt.Errorf("read events: %w", err)
		}
	}
	events := make([]Event, 0, len(list))
	for _, raw := range list {
		e, err := DecodeEvent(raw)
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	return events, nil
}

// EventExchange is the exchange of events (event_exchange); over Redis it is a fanout: PUBLISH on "/<db>.celeryev/<routing key>".
const EventExchange = "celeryev"

// EventRoutingKey is the routing key of an event's type: worker.heartbeat of worker-heartbeat; of a batch it is the type's group: task.multi.
func EventRoutingKey(eventType string, batch bool) string {
	if batch {
		group, _, _ := strings.Cut(eventType, "-")
		return group + ".multi"
	}
	return strings.ReplaceAll(eventType, "-", ".")
}

// fanout wraps a payload in the envelope in which kombu sends it to a fanout exchange: JSON, base64, not persistent.
func fanout(payload Raw, exchange, routingKey, deliveryTag string, headers Object) *Message {
	return &Message{
		Body:            base64.StdEncoding.AppendEncode(nil, payload),
		ContentType:     ContentJSON,
		ContentEncoding: "utf-8",
		Headers:         headers,
		Properties: Properties{
			DeliveryMode: 1, Exchange: exchange, RoutingKey: routingKey, BodyEncoding: "base64", DeliveryTag: deliveryTag,
		},
	}
}

// EventMessage is the envelope of one event, or of a batch, for the exchange celeryev.
func EventMessage(events []Event, batch bool, routingKey, hostname, deliveryTag string) *Message {
	payload := Null()
	if batch {
		list := make([]Raw, len(events))
		for i := range events {
			list[i] = events[i].Raw()
		}
		payload = Array(list)
	} else if len(events) == 1 {
		payload = events[0].Raw()
	}
	return fanout(payload, EventExchange, routingKey, deliveryTag, Object{{"hostname", Quote(hostname)}})
}
