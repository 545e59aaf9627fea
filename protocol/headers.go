package protocol

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"time"
)

// readHeaders reads the object that begins at data[i] and gives the index after it. bad is the first header that has an unusable type; err
// says that the text is malformed.
func (t *Task) readHeaders(data []byte, i, depth int) (end int, bad, err error) {
	members := memberScanner{data: data, depth: depth}
	if err := members.open(i); err != nil {
		return i, nil, err
	}
	for {
		key, start, err := members.next()
		if err != nil || start < 0 {
			return members.at, bad, err
		}
		if members.at, err = scanValue(data, start, depth-1); err != nil {
			return members.at, bad, err
		}
		if err := t.readHeader(key[1:len(key)-1], data[start:members.at:members.at]); err != nil && bad == nil {
			bad = fmt.Errorf("read headers: %w", err)
		}
	}
}

// readHeader reads one header; its name has no quotes. A null is as good as absent.
func (t *Task) readHeader(name []byte, value Raw) (err error) {
	if string(value) == "null" {
		return nil
	}
	switch string(name) {
	case "task":
		t.Version = 2
		t.Name, err = headerText("task", value)
	case "id":
		t.ID, err = headerText("id", value)
	case "shadow":
		t.Shadow = looseText(value)
	case "root_id":
		t.RootID = t.idText(value)
	case "parent_id":
		t.ParentID = looseText(value)
	case "group":
		t.GroupID = looseText(value)
	case "group_index":
		t.GroupIndex, t.HasGroupIndex = looseInt(value)
	case "retries":
		t.Retries, err = headerInt("retries", value)
	case "eta":
		t.ETA, err = headerTime("eta", value)
	case "expires":
		t.Expires, err = headerTime("expires", value)
	case "timelimit":
		err = t.readTimeLimit(value)
	case "ignore_result":
		ignore := truthy(value)
		t.IgnoreResult = &ignore
	case "compression":
		t.BodyCompression, err = headerText("compression", value)
	case "argsrepr":
		t.argsRepr = value
	case "kwargsrepr":
		t.kwargsRepr = value
	case "redelivered":
		t.Redelivered = t.Redelivered || truthy(value)
	case DeliveriesHeader:
		t.Deliveries, _ = looseInt(value)
	default:
		if bytes.IndexByte(name, '\\') >= 0 {
			return t.readEscaped(name, value)
		}
	}
	return err
}

// readEscaped reads a header whose name was written with escapes.
func (t *Task) readEscaped(name []byte, value Raw) error {
	plain := appendUnescaped(nil, name)
	if bytes.IndexByte(plain, '\\') >= 0 {
		return nil // the name itself has a backslash: none that we know
	}
	return t.readHeader(plain, value)
}

// idText is looseText that shares the string of the task's own id: a root's and the correlation id are the same text again.
func (t *Task) idText(value Raw) string {
	if len(value) == len(t.ID)+2 && value[0] == '"' && string(value[1:len(value)-1]) == t.ID {
		return t.ID
	}
	return looseText(value)
}

func headerText(name string, value Raw) (string, error) {
	if value[0] == '{' || value[0] == '[' {
		return "", fmt.Errorf("%w: %s is not a string", ErrHeader, name)
	}
	return looseText(value), nil
}

func headerInt(name string, value Raw) (int, error) {
	if len(value) == 1 && isDigit(value[0]) {
		return int(value[0] - '0'), nil
	}
	n, ok := looseInt(value)
	if !ok {
		return 0, fmt.Errorf("%w: %s is not a number", ErrHeader, name)
	}
	return n, nil
}

// headerTime reads a time that is ISO text or kombu's typed datetime. Anything else fails in Celery's worker too, a number included: the sender turns
// numbers into times.
func headerTime(name string, value Raw) (Time, error) {
	text, ok := value.Text()
	if !ok && value[0] == '{' {
		members, err := value.Members()
		if err != nil {
			return Time{}, err
		}
		text = members.Text("__value__")
		ok = text != "" && members.Text("__type__") == "datetime"
	}
	if !ok {
		return Time{}, fmt.Errorf("%w: %s is not a time", ErrHeader, name)
	}
	t, err := ParseTime(text)
	if err != nil {
		return t, fmt.Errorf("%s: %w", name, err)
	}
	return t, nil
}

// readTimeLimit reads [hard, soft] in seconds; either may be null, and what is false is none at all.
func (t *Task) readTimeLimit(value Raw) error {
	if string(value) == "[null, null]" || !truthy(value) {
		return nil
	}
	limits, err := value.Elements()
	if err != nil || len(limits) != 2 {
		return fmt.Errorf("%w: timelimit is not [hard, soft]", ErrHeader)
	}
	for i, field := range []*time.Duration{&t.HardTimeLimit, &t.SoftTimeLimit} {
		if limits[i].IsNull() {
			continue
		}
		seconds, err := strconv.ParseFloat(string(limits[i]), 64)
		if err != nil && math.Abs(seconds) != math.Inf(1) || math.IsNaN(seconds) || seconds < 0 {
			return fmt.Errorf("%w: timelimit %s is not a number of seconds", ErrHeader, limits[i])
		}
		*field = time.Duration(math.Round(min(seconds, 1e9) * float64(time.Second)))
	}
	return nil
}

// readProperties reads the object that begins at data[i] and gives the index after it.
func (t *Task) readProperties(data []byte, i, depth int) (end int, err error) {
	members := memberScanner{data: data, depth: depth}
	if err := members.open(i); err != nil {
		return i, err
	}
	for {
		key, start, err := members.next()
		if err != nil || start < 0 {
			return members.at, err
		}
		if members.at, err = scanValue(data, start, depth-1); err != nil {
			return members.at, err
		}
		value := Raw(data[start:members.at:members.at])
		switch string(key) {
		case `"correlation_id"`:
			t.CorrelationID = t.idText(value)
		case `"reply_to"`:
			t.ReplyTo = looseText(value)
		case `"priority"`:
			t.Priority = clampPriority(value)
		case `"body_encoding"`:
			t.bodyEncoding = wellKnown(value)
		case `"delivery_info"`:
			if err := t.readDeliveryInfo(value); err != nil {
				return members.at, err
			}
		}
	}
}

func (t *Task) readDeliveryInfo(info Raw) error {
	members := memberScanner{data: info, depth: maxNesting}
	if info[0] != '{' {
		return nil
	}
	if err := members.open(0); err != nil {
		return err
	}
	for {
		key, start, err := members.next()
		if err != nil || start < 0 {
			return err
		}
		if members.at, err = scanValue(info, start, maxNesting); err != nil {
			return err
		}
		value := info[start:members.at:members.at]
		switch string(key) {
		case `"exchange"`:
			t.Exchange = looseText(value)
		case `"routing_key"`:
			t.RoutingKey = wellKnown(value)
		case `"redelivered"`:
			t.Redelivered = t.Redelivered || truthy(value)
		}
	}
}

// wellKnown is looseText without a new string for what nearly every message says.
func wellKnown(value Raw) string {
	switch string(value) {
	case `"application/json"`:
		return ContentJSON
	case `"utf-8"`:
		return "utf-8"
	case `"base64"`:
		return "base64"
	case `"celery"`:
		return "celery"
	}
	return looseText(value)
}
