package protocol

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Content types of kombu's serializers (kombu/serialization.py).
const (
	ContentJSON    = "application/json"
	ContentMsgpack = "application/x-msgpack"
	ContentYAML    = "application/x-yaml"
	ContentPickle  = "application/x-python-serialize"
	ContentData    = "application/data"
	ContentText    = "text/plain"
)

// toJSON translates serialized content into JSON text, checked against the limits.
func toJSON(contentType, encoding string, body []byte, lim Limits) ([]byte, error) {
	switch contentType {
	case ContentJSON:
		return jsonText(encoding, body)
	case ContentMsgpack:
		return decodeMsgpack(body, lim)
	case ContentYAML, "application/yaml", "text/yaml":
		return decodeYAML(body, lim)
	case ContentPickle, "application/x-python-pickle":
		return nil, ErrPickle
	case ContentText:
		return Quote(string(body)), nil
	case ContentData:
		return bytesValue(body), nil
	}
	return nil, fmt.Errorf("%w %q", ErrContentType, contentType)
}

// jsonText checks the character set; the syntax is checked by whoever splits the text.
func jsonText(encoding string, body []byte) ([]byte, error) {
	switch strings.ToLower(encoding) {
	case "latin-1", "latin1", "iso-8859-1":
		runes := make([]rune, len(body))
		for i, c := range body {
			runes[i] = rune(c)
		}
		return []byte(string(runes)), nil
	}
	if !utf8.Valid(body) {
		return nil, fmt.Errorf("%w JSON: not UTF-8", ErrSyntax)
	}
	return body, nil
}

// Serializer names one of kombu's serializers: "json", "msgpack" or "yaml".
type Serializer string

// Serialize writes a value under a serializer's name and tells the content type and encoding that go with it. "" is json.
func (s Serializer) Serialize(value Raw) (data []byte, contentType, encoding string, err error) {
	switch s {
	case "", "json", ContentJSON:
		return value, ContentJSON, "utf-8", nil
	case "msgpack", ContentMsgpack:
		data, err = encodeMsgpack(value)
		return data, ContentMsgpack, "binary", err
	case "yaml", ContentYAML:
		data, err = encodeYAML(value)
		return data, ContentYAML, "utf-8", err
	case "pickle", ContentPickle:
		return nil, "", "", ErrPickle
	}
	return nil, "", "", fmt.Errorf("%w: no serializer is called %q", ErrContentType, string(s))
}

// Deserialize reads content of the given type into JSON text.
func Deserialize(contentType, encoding string, body []byte, lim Limits) (Raw, error) {
	lim = lim.withDefaults()
	text, err := toJSON(contentType, encoding, body, lim)
	if err != nil {
		return nil, err
	}
	if err := checkWhole(text, lim.MaxDepth); err != nil {
		return nil, err
	}
	return text, nil
}
