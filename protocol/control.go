package protocol

import (
	"fmt"
	"strconv"
)

// Exchanges of remote control with the default control_exchange "celery". Requests are a fanout; replies go to the queue that the request names.
const (
	ControlExchange      = "celery.pidbox"
	ControlReplyExchange = "reply.celery.pidbox"
)

// ControlRequest is a remote-control command to workers (kombu/pidbox.py).
type ControlRequest struct {
	// Method is the command's name, Arguments its keyword arguments.
	Method    string
	Arguments Object
	// Destination lists the node names that are meant; nil means all.
	Destination []string
	// Pattern and Matcher choose nodes by "glob" or "pcre"; "" when not used.
	Pattern, Matcher string
	// Ticket identifies the call; ReplyExchange and ReplyKey say where answers go; "" when none are wanted.
	Ticket, ReplyExchange, ReplyKey string
	// Clock is the sender's Lamport clock and Expires the time, in seconds since 1970, after which nobody waits (headers); 0 when absent.
	Clock   int64
	Expires float64
}

// DecodeControl reads a remote-control message.
func DecodeControl(data []byte, lim Limits) (ControlRequest, error) {
	var r ControlRequest
	body, headers, err := openFanout(data, lim)
	if err != nil {
		return r, fmt.Errorf("read control message: %w", err)
	}
	for _, member := range body {
		if err := r.set(member); err != nil {
			return r, fmt.Errorf("read control message: %s: %w", member.Name, err)
		}
	}
	clock, _ := headers.Get("clock")
	r.Clock, _ = strconv.ParseInt(string(clock), 10, 64)
	expires, _ := headers.Get("expires")
	r.Expires, _ = strconv.ParseFloat(string(expires), 64)
	if r.Method == "" {
		return r, fmt.Errorf("read control message: %w: no method", ErrSyntax)
	}
	return r, nil
}

// openFanout gives the payload object and the headers of a fanout message.
func openFanout(data []byte, lim Limits) (body, headers Object, err error) {
	message, err := DecodeMessage(data, lim)
	if err != nil {
		return nil, nil, err
	}
	payload, err := message.Payload(lim)
	if err != nil {
		return nil, nil, err
	}
	raw, err := Deserialize(message.ContentType, message.ContentEncoding, payload, lim)
	if err != nil {
		return nil, nil, err
	}
	body, err = raw.Members()
	return body, message.Headers, err
}

func (r *ControlRequest) set(member Member) (err error) {
	if member.Value.IsNull() {
		return nil
	}
	switch member.Name {
	case "method":
		r.Method = looseText(member.Value)
	case "arguments":
		r.Arguments, err = member.Value.Members()
	case "destination":
		r.Destination, err = readDestination(member.Value)
	case "pattern":
		r.Pattern = looseText(member.Value)
	case "matcher":
		r.Matcher = looseText(member.Value)
	case "ticket":
		r.Ticket = looseText(member.Value)
	case "reply_to":
		var to Object
		to, err = member.Value.Members()
		r.ReplyExchange, r.ReplyKey = to.Text("exchange"), to.Text("routing_key")
	}
	return err
}

// readDestination reads a list of hostnames; app.control lets one alone stand without its list.
func readDestination(value Raw) ([]string, error) {
	if name, ok := value.Text(); ok {
		return []string{name}, nil
	}
	elements, err := value.Elements()
	if err != nil {
		return nil, err
	}
	names := make([]string, len(elements))
	for i, element := range elements {
		names[i] = looseText(element)
	}
	return names, nil
}

// Message writes the request for the exchange celery.pidbox.
func (r ControlRequest) Message(exchange, deliveryTag string) *Message {
	destination := Null()
	if r.Destination != nil {
		names := make([]Raw, len(r.Destination))
		for i, name := range r.Destination {
			names[i] = Quote(name)
		}
		destination = Array(names)
	}
	body := Object{
		{"method", Quote(r.Method)}, {"arguments", r.Arguments.Raw()}, {"destination", destination},
		{"pattern", textOrNull(r.Pattern)}, {"matcher", textOrNull(r.Matcher)},
	}
	if r.Ticket != "" || r.ReplyKey != "" {
		to := Object{{"exchange", Quote(r.ReplyExchange)}, {"routing_key", Quote(r.ReplyKey)}}
		body = append(body, Member{"ticket", Quote(r.Ticket)}, Member{"reply_to", to.Raw()})
	}
	expires := Raw("0")
	if r.Expires != 0 {
		expires = AppendFloat(nil, r.Expires)
	}
	message := fanout(body.Raw(), exchange, "", deliveryTag, Object{{"clock", strconv.AppendInt(nil, r.Clock, 10)}, {"expires", expires}})
	message.Properties.DeliveryMode = 2 // as kombu's mailbox, though nothing keeps a fanout
	return message
}

// ControlReply is one worker's answer: {hostname: answer}, with the call's ticket in the headers.
type ControlReply struct {
	Hostname string
	Answer   Raw
	Ticket   string
	Clock    int64
}

// Message writes the reply for the exchange and routing key that the request named.
func (r ControlReply) Message(exchange, routingKey, deliveryTag string) *Message {
	body := Object{{r.Hostname, r.Answer}}
	headers := Object{{"ticket", Quote(r.Ticket)}, {"clock", strconv.AppendInt(nil, r.Clock, 10)}}
	return fanout(body.Raw(), exchange, routingKey, deliveryTag, headers)
}

// DecodeControlReply reads a reply.
func DecodeControlReply(data []byte, lim Limits) (ControlReply, error) {
	body, headers, err := openFanout(data, lim)
	if err != nil {
		return ControlReply{}, fmt.Errorf("read control reply: %w", err)
	}
	if len(body) != 1 {
		return ControlReply{}, fmt.Errorf("read control reply: %w: not one host's answer", ErrSyntax)
	}
	clock, _ := headers.Get("clock")
	r := ControlReply{Hostname: body[0].Name, Answer: body[0].Value, Ticket: headers.Text("ticket")}
	r.Clock, _ = strconv.ParseInt(string(clock), 10, 64)
	return r, nil
}
