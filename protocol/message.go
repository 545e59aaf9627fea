package protocol

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// Message is kombu's envelope: what a producer pushes on a queue's list.
type Message struct {
	// Body is the text of "body" with JSON's escapes undone and body_encoding still in place.
	Body []byte
	// ContentType names the serializer, ContentEncoding the character set ("utf-8", or "binary").
	ContentType, ContentEncoding string
	// Headers are the message's headers, known and unknown, in their order.
	Headers Object
	// Properties are the delivery properties.
	Properties Properties
}

// Properties are what AMQP would call the basic properties.
type Properties struct {
	// CorrelationID is the task's id.
	CorrelationID string
	// ReplyTo is the queue for replies (rpc result backend); unused by the Redis backend but always there.
	ReplyTo string
	// DeliveryMode is 2 for persistent; over Redis it has no meaning.
	DeliveryMode int
	// Exchange and RoutingKey are delivery_info's; with exchange "" the routing key is the queue.
	Exchange, RoutingKey string
	// Redelivered is set in delivery_info when the message has been restored.
	Redelivered bool
	// DeliveryInfo are delivery_info's other members.
	DeliveryInfo Object
	// Priority is 0..9; over Redis a lower number is served first.
	Priority int
	// BodyEncoding is "base64", or anything else for a plain body.
	BodyEncoding string
	// DeliveryTag is a uuid made by the producer.
	DeliveryTag string
	// Extra are the properties that have no field here, e.g. expiration.
	Extra Object
}

// DecodeMessage reads an envelope. Its error is a *DecodeError.
func DecodeMessage(data []byte, lim Limits) (*Message, error) {
	lim = lim.withDefaults()
	spans, err := scanEnvelope(data, lim.MaxDepth)
	if err != nil {
		return nil, decodeError(fmt.Errorf("read envelope: %w", err))
	}
	body, err := spans.bodyText()
	if err != nil {
		return nil, decodeError(fmt.Errorf("read envelope: %w", err))
	}
	m := &Message{Body: bytes.Clone(body)}
	m.ContentType, _ = spans.contentType.Text()
	m.ContentEncoding, _ = spans.contentEncoding.Text()
	if m.Headers, err = optionalObject(spans.headers); err != nil {
		return nil, decodeError(fmt.Errorf("read headers: %w", err))
	}
	properties, err := optionalObject(spans.properties)
	if err != nil {
		return nil, decodeError(fmt.Errorf("read properties: %w", err))
	}
	m.Properties.read(properties)
	return m, nil
}

func optionalObject(raw Raw) (Object, error) {
	if raw.IsNull() {
		return nil, nil
	}
	return raw.Members()
}

// envelope holds the parts of an envelope as they stand in the text.
type envelope struct {
	body, contentType, contentEncoding, headers, properties Raw
}

// set notes a part; repeated tells that headers or properties, which are read where they stand, were there before or are neither object nor null.
func (e *envelope) set(key []byte, value Raw) (repeated bool) {
	switch string(key) {
	case `"body"`:
		e.body = value
	case `"content-type"`:
		e.contentType = value
	case `"content-encoding"`:
		e.contentEncoding = value
	case `"headers"`:
		repeated = e.headers != nil || !value.IsNull()
		e.headers = value
	case `"properties"`:
		repeated = e.properties != nil || !value.IsNull()
		e.properties = value
	}
	return repeated
}

// bodyText is the body with JSON's escapes undone. Like kombu it takes a missing body for an empty one.
func (e *envelope) bodyText() ([]byte, error) {
	if e.body.IsNull() {
		return nil, nil
	}
	if e.body[0] != '"' {
		return nil, fmt.Errorf("%w envelope: body is not a string", ErrSyntax)
	}
	inner := []byte(e.body[1 : len(e.body)-1])
	if bytes.IndexByte(inner, '\\') >= 0 {
		return appendUnescaped(make([]byte, 0, len(inner)), inner), nil
	}
	return inner, nil
}

// appendJSON writes an envelope of these parts as kombu does.
func (e *envelope) appendJSON(out []byte) []byte {
	return Object{
		{"body", e.body}, {"content-encoding", e.contentEncoding}, {"content-type", e.contentType}, {"headers", e.headers}, {"properties", e.properties},
	}.AppendJSON(out)
}

// scanEnvelope checks the text and finds the envelope's parts.
func scanEnvelope(data []byte, depth int) (envelope, error) {
	var e envelope
	if !utf8.Valid(data) {
		return e, fmt.Errorf("%w JSON: not UTF-8", ErrSyntax)
	}
	i := skipSpace(data, 0)
	if i >= len(data) || data[i] != '{' {
		return e, syntaxError(i, "no object")
	}
	end, err := walkObject(data, i, depth, func(keyStart, keyEnd, start, end int) error {
		e.set(data[keyStart:keyEnd], data[start:end:end])
		return nil
	})
	if err != nil {
		return e, err
	}
	if end = skipSpace(data, end); end != len(data) {
		return e, syntaxError(end, "extra data")
	}
	return e, nil
}

func (p *Properties) read(properties Object) {
	for _, member := range properties {
		switch member.Name {
		case "correlation_id":
			p.CorrelationID = looseText(member.Value)
		case "reply_to":
			p.ReplyTo = looseText(member.Value)
		case "delivery_mode":
			p.DeliveryMode, _ = looseInt(member.Value)
		case "delivery_info":
			p.readDeliveryInfo(member.Value)
		case "priority":
			p.Priority = clampPriority(member.Value)
		case "body_encoding":
			p.BodyEncoding = looseText(member.Value)
		case "delivery_tag":
			p.DeliveryTag = looseText(member.Value)
		default:
			p.Extra = append(p.Extra, member)
		}
	}
}

func (p *Properties) readDeliveryInfo(value Raw) {
	info, err := optionalObject(value)
	if err != nil {
		return
	}
	for _, member := range info {
		switch member.Name {
		case "exchange":
			p.Exchange = looseText(member.Value)
		case "routing_key":
			p.RoutingKey = looseText(member.Value)
		case "redelivered":
			p.Redelivered = truthy(member.Value)
		default:
			p.DeliveryInfo = append(p.DeliveryInfo, member)
		}
	}
}

// looseText reads a string, or a number as text: an id may be any JSON scalar in a hand-made message.
func looseText(value Raw) string {
	if value.IsNull() {
		return ""
	}
	if text, ok := value.Text(); ok {
		return text
	}
	return string(value)
}

// looseInt reads an integer, also out of a string, as Python's int() would.
func looseInt(value Raw) (int, bool) {
	text := string(value)
	if inner, ok := value.Text(); ok {
		text = inner
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || f != f || f > 1<<53 || f < -(1<<53) {
			return 0, false
		}
		return int(f), true
	}
	return n, true
}

// clampPriority reads a priority as kombu does: 0..9, anything unreadable is 0.
func clampPriority(value Raw) int {
	n, _ := looseInt(value)
	return min(9, max(0, n))
}

// AppendJSON writes the envelope as kombu does.
func (m *Message) AppendJSON(out []byte) []byte {
	out = append(out, `{"body": `...)
	out = appendQuoted(out, string(m.Body))
	out = append(out, `, "content-encoding": `...)
	out = appendQuoted(out, m.ContentEncoding)
	out = append(out, `, "content-type": `...)
	out = appendQuoted(out, m.ContentType)
	out = append(out, `, "headers": `...)
	out = m.Headers.AppendJSON(out)
	out = append(out, `, "properties": `...)
	out = m.Properties.object().AppendJSON(out)
	return append(out, '}')
}

func (p *Properties) object() Object {
	object := make(Object, 0, 8+len(p.Extra))
	if p.CorrelationID != "" {
		object = append(object, Member{"correlation_id", Quote(p.CorrelationID)})
	}
	if p.ReplyTo != "" {
		object = append(object, Member{"reply_to", Quote(p.ReplyTo)})
	}
	mode := p.DeliveryMode
	if mode == 0 {
		mode = 2
	}
	info := Object{{"exchange", Quote(p.Exchange)}, {"routing_key", Quote(p.RoutingKey)}}
	if p.Redelivered {
		info = append(info, Member{"redelivered", Raw("true")})
	}
	for _, member := range p.Extra {
		if member.Name != "expiration" {
			object = append(object, member)
		}
	}
	info = append(info, p.DeliveryInfo...)
	object = append(object, Member{"delivery_mode", Raw(strconv.Itoa(mode))})
	if expiration, ok := p.Extra.Get("expiration"); ok { // kombu computes it last
		object = append(object, Member{"expiration", expiration})
	}
	return append(object,
		Member{"delivery_info", info.Raw()},
		Member{"priority", Raw(strconv.Itoa(p.Priority))},
		Member{"body_encoding", Quote(p.BodyEncoding)},
		Member{"delivery_tag", Quote(p.DeliveryTag)},
	)
}

// Payload is the body with body_encoding and compression undone, in this order.
func (m *Message) Payload(lim Limits) ([]byte, error) {
	compression, _ := m.Headers.Get("compression")
	name, _ := compression.Text()
	return payload(m.Body, m.Properties.BodyEncoding, name, lim.withDefaults())
}

func payload(body []byte, encoding, compression string, lim Limits) ([]byte, error) {
	if encoding == "base64" {
		if size := int64(len(body)) / 4 * 3; size-3 > lim.MaxBody { // before memory is taken for it
			return nil, fmt.Errorf("%w: a body of %d bytes, the limit is %d", ErrTooLarge, size, lim.MaxBody)
		}
		decoded, err := decodeBase64(body)
		if err != nil {
			return nil, err
		}
		body = decoded
	}
	if compression != "" {
		return Inflate(compression, body, lim.MaxBody)
	}
	if int64(len(body)) > lim.MaxBody {
		return nil, fmt.Errorf("%w: a body of %d bytes, the limit is %d", ErrTooLarge, len(body), lim.MaxBody)
	}
	return body, nil
}

// decodeBase64 decodes as Python's base64.b64decode does (binascii.a2b_base64): characters outside of the alphabet are skipped, and what follows the
// padding is not looked at.
func decodeBase64(text []byte) ([]byte, error) {
	out := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	if n, err := base64.StdEncoding.Decode(out, text); err == nil {
		return out[:n], nil
	}
	kept, pads, padded := make([]byte, 0, len(text)), 0, false
	for _, c := range text {
		if c == '=' && len(kept)%4 >= 2 {
			pads++
			if padded = len(kept)%4+pads >= 4; padded {
				break
			}
		}
		if c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || isDigit(c) || c == '+' || c == '/' {
			kept, pads = append(kept, c), 0
		}
	}
	if len(kept)%4 != 0 && !padded {
		return nil, fmt.Errorf("%w body: not base64: its padding is missing", ErrSyntax)
	}
	n, err := base64.RawStdEncoding.Decode(out[:base64.RawStdEncoding.DecodedLen(len(kept))], kept)
	if err != nil {
		return nil, fmt.Errorf("%w body: not base64: %w", ErrSyntax, err)
	}
	return out[:n], nil
}
