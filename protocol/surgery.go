package protocol

import (
	"fmt"
	"strconv"
)

// MarkRedelivered edits an envelope as kombu does when it restores a message (redelivered in the headers and in delivery_info), and counts
// the deliveries in the header lovage_deliveries. Every other byte stays as it is: no digit, unknown header or order is lost. deliveries 0 leaves the count alone.
func MarkRedelivered(data []byte, deliveries int) ([]byte, error) {
	spans, err := scanEnvelope(data, Limits{}.withDefaults().MaxDepth)
	if err != nil {
		return nil, fmt.Errorf("mark message as redelivered: %w", err)
	}
	headers, err := optionalObject(spans.headers)
	if err != nil {
		return nil, fmt.Errorf("mark message as redelivered: headers: %w", err)
	}
	properties, err := optionalObject(spans.properties)
	if err != nil {
		return nil, fmt.Errorf("mark message as redelivered: properties: %w", err)
	}
	headers = headers.Set("redelivered", Raw("true"))
	if deliveries > 0 {
		headers = headers.Set(DeliveriesHeader, Raw(strconv.Itoa(deliveries)))
	}
	if value, ok := properties.Get("delivery_info"); ok {
		if info, err := optionalObject(value); err == nil {
			properties = properties.Set("delivery_info", info.Set("redelivered", Raw("true")).Raw())
		}
	}
	return replaceMembers(data, map[string]Raw{"headers": headers.Raw(), "properties": properties.Raw()})
}

// replaceMembers writes new values for members of the object in data; members that are not there are added at its end.
func replaceMembers(data []byte, values map[string]Raw) ([]byte, error) {
	out := make([]byte, 0, len(data)+128)
	copied := 0
	done := map[string]bool{}
	end, err := walkObject(data, skipSpace(data, 0), maxNesting, func(keyStart, keyEnd, start, end int) error {
		name := unquote(data[keyStart:keyEnd])
		if value, ok := values[name]; ok {
			out = append(append(out, data[copied:start]...), value...)
			copied = end
			done[name] = true
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out = append(out, data[copied:end-1]...)
	for _, name := range []string{"headers", "properties"} {
		if value, ok := values[name]; ok && !done[name] {
			out = append(append(append(out, ", "...), Quote(name)...), ": "...)
			out = append(out, value...)
		}
	}
	return append(out, data[end-1:]...), nil
}
