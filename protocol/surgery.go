package protocol

import (
	"fmt"
	"slices"
	"strconv"
)

// MarkRedelivered edits an envelope as kombu does when it restores a message (redelivered in the headers and in delivery_info), and counts
// the deliveries in the header lovage_deliveries. Every other byte stays as it is: no digit, unknown header or order is lost. deliveries 0 leaves the count alone.
func MarkRedelivered(data []byte, deliveries int) ([]byte, error) {
	out, err := SetHeader(data, "redelivered", Raw("true"))
	if err == nil && deliveries > 0 {
		out, err = SetHeader(out, DeliveriesHeader, strconv.AppendInt(nil, int64(deliveries), 10))
	}
	if err == nil {
		out, err = markDeliveryInfo(out)
	}
	if err != nil {
		return nil, fmt.Errorf("mark message as redelivered: %w", err)
	}
	return out, nil
}

// markDeliveryInfo does nothing, as kombu, where there is no delivery_info.
func markDeliveryInfo(data []byte) ([]byte, error) {
	envelope, err := scanEnvelope(data, maxNesting)
	if err != nil {
		return nil, err
	}
	properties, err := optionalObject(envelope.properties)
	if err != nil {
		return nil, fmt.Errorf("properties: %w", err)
	}
	info, _ := properties.Get("delivery_info")
	if len(info) == 0 || info[0] != '{' {
		return data, nil
	}
	if info, err = setMember(info, "redelivered", Raw("true")); err != nil {
		return nil, err
	}
	changed, err := setMember(envelope.properties, "delivery_info", info)
	if err != nil {
		return nil, err
	}
	return setMember(data, "properties", changed)
}

// SetHeader sets one header in the text of an envelope; every other byte stays as it is. value must be well-formed.
func SetHeader(data []byte, name string, value Raw) ([]byte, error) {
	envelope, err := scanEnvelope(data, maxNesting)
	if err != nil {
		return nil, fmt.Errorf("set header %s: %w", name, err)
	}
	headers := envelope.headers
	if headers.IsNull() {
		headers = Raw("{}")
	}
	if headers, err = setMember(headers, name, value); err == nil {
		data, err = setMember(data, "headers", headers)
	}
	if err != nil {
		return nil, fmt.Errorf("set header %s: %w", name, err)
	}
	return data, nil
}

// setMember replaces the value of a member in the text of an object (of a repeated name the last, the one that counts), or adds the member at its end.
// object may have space around it; nothing else of it changes.
func setMember(object []byte, name string, value Raw) ([]byte, error) {
	begin := skipSpace(object, 0)
	if begin >= len(object) || object[begin] != '{' {
		return nil, fmt.Errorf("%w JSON: not an object", ErrSyntax)
	}
	from, to, members := -1, -1, 0
	end, err := walkObject(object, begin, maxNesting, func(keyStart, keyEnd, start, end int) error {
		members++
		if unquote(object[keyStart:keyEnd]) == name {
			from, to = start, end
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if from >= 0 {
		return slices.Concat(object[:from], value, object[to:]), nil
	}
	separator := ", "
	if members == 0 {
		separator = ""
	}
	key := append(appendQuoted([]byte(separator), name), ": "...)
	return slices.Concat(object[:end-1], key, value, object[end-1:]), nil
}
