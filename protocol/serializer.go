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

// ContentType gives the content type of a serializer named as in Celery's settings accept_content and task_serializer: json, msgpack, yaml, pickle. What has
// a slash in it is a content type already.
func ContentType(name string) (string, error) {
	switch name {
	case "json":
		return ContentJSON, nil
	case "msgpack":
		return ContentMsgpack, nil
	case "yaml":
		return ContentYAML, nil
	case "pickle":
		return ContentPickle, nil
	}
	if strings.Contains(name, "/") {
		return name, nil
	}
	return "", fmt.Errorf("%w: no serializer is called %q", ErrContentType, name)
}

// toJSON translates serialized content into JSON text. JSON itself is only checked for its character set: its syntax is checked by whoever
// splits it.
func toJSON(contentType, encoding string, body []byte, lim Limits) ([]byte, error) {
	switch contentType {
	case ContentJSON:
		if !utf8.Valid(body) { // kombu's decoder takes it for UTF-8 whatever the content encoding says
			return nil, fmt.Errorf("%w JSON: not UTF-8", ErrSyntax)
		}
		return body, nil
	case ContentMsgpack:
		return decodeMsgpack(body, lim)
	case ContentYAML:
		return decodeYAML(body, lim)
	case ContentPickle:
		return nil, ErrPickle
	case ContentText, "application/text", ContentData, "":
		return decodePlain(encoding, body)
	}
	return nil, fmt.Errorf("%w %q", ErrContentType, contentType)
}

// decodePlain reads content without a serializer: bytes, or a string in the given character set.
func decodePlain(encoding string, body []byte) (Raw, error) {
	switch strings.ToLower(encoding) {
	case "binary", "ascii-8bit":
		return bytesValue(body), nil
	case "", "utf-8", "utf8":
		if !utf8.Valid(body) {
			return nil, fmt.Errorf("%w text: not UTF-8", ErrSyntax)
		}
		return Quote(string(body)), nil
	case "us-ascii", "ascii":
		for _, c := range body {
			if c >= utf8.RuneSelf {
				return nil, fmt.Errorf("%w text: not ASCII", ErrSyntax)
			}
		}
		return Quote(string(body)), nil
	case "latin-1", "latin1", "iso-8859-1":
		runes := make([]rune, len(body))
		for i, c := range body {
			runes[i] = rune(c)
		}
		return Quote(string(runes)), nil
	}
	return nil, fmt.Errorf("%w: no character set %q", ErrContentType, encoding)
}

// Serializer names one of kombu's serializers: "json", "msgpack", "yaml" or "raw".
type Serializer string

// Serialize writes a value under a serializer's name, or its content type, and tells the content type and encoding that go with it. "" is json.
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
	case "raw":
		return encodePlain(value)
	case "pickle", ContentPickle:
		return nil, "", "", errWritePickle
	}
	return nil, "", "", fmt.Errorf("%w: no serializer is called %q", ErrContentType, string(s))
}

var errWritePickle = fmt.Errorf("%w: only Python can write a pickle; choose json, msgpack or yaml", ErrContentType)

// encodePlain writes bytes, or a string as UTF-8; raw has no other values.
func encodePlain(value Raw) (data []byte, contentType, encoding string, err error) {
	parsed, err := ParseValue(value, unlimited)
	if err != nil {
		return nil, "", "", fmt.Errorf("write raw content: %w", err)
	}
	switch v := parsed.(type) {
	case []byte:
		return v, ContentData, "binary", nil
	case string:
		if utf8.ValidString(v) {
			return []byte(v), ContentData, "utf-8", nil
		}
	}
	return nil, "", "", fmt.Errorf("write raw content: %w: neither bytes nor a string of UTF-8", ErrType)
}

// Deserialize reads content of the given type into JSON text, checked whole. An empty content type stands for application/data, as in kombu. Pickles are
// ErrPickle, unknown types ErrContentType; which types a worker accepts (accept_content) is for the caller to decide.
func Deserialize(contentType, encoding string, body []byte, lim Limits) (Raw, error) {
	lim = lim.withDefaults()
	if int64(len(body)) > lim.MaxBody {
		return nil, fmt.Errorf("%w: content of %d bytes, the limit is %d", ErrTooLarge, len(body), lim.MaxBody)
	}
	text, err := toJSON(contentType, encoding, body, lim)
	if err != nil {
		return nil, err
	}
	if err := checkWhole(text, lim.MaxDepth); err != nil {
		return nil, err
	}
	return text, nil
}
