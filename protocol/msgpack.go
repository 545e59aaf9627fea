package protocol

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strconv"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// decodeMsgpack translates msgpack into JSON text. Binary becomes kombu's typed bytes. Lengths that the data claims are never allocated ahead.
func decodeMsgpack(data []byte, lim Limits) (Raw, error) {
	input := bytes.NewReader(data)
	d := msgpackReader{decoder: msgpack.NewDecoder(input), input: input, most: lim.MaxBody * 8}
	out, err := d.value(nil, lim.MaxDepth)
	if err != nil {
		if errors.Is(err, ErrTooDeep) || errors.Is(err, ErrTooLarge) || errors.Is(err, ErrType) {
			return nil, err
		}
		return nil, fmt.Errorf("%w msgpack: %w", ErrSyntax, err)
	}
	if input.Len() > 0 {
		return nil, fmt.Errorf("%w msgpack: %d bytes of extra data", ErrSyntax, input.Len())
	}
	return out, nil
}

type msgpackReader struct {
	decoder *msgpack.Decoder
	input   *bytes.Reader
	most    int64
}

func (d *msgpackReader) value(out []byte, depth int) ([]byte, error) {
	if depth < 0 {
		return nil, ErrTooDeep
	}
	if int64(len(out)) > d.most {
		return nil, ErrTooLarge
	}
	code, err := d.decoder.PeekCode()
	if err != nil {
		return nil, err
	}
	switch {
	case code == msgpcode.Nil:
		return append(out, "null"...), d.decoder.DecodeNil()
	case code == msgpcode.True, code == msgpcode.False:
		b, err := d.decoder.DecodeBool()
		return strconv.AppendBool(out, b), err
	case code == msgpcode.Float, code == msgpcode.Double:
		f, err := d.decoder.DecodeFloat64()
		return AppendFloat(out, f), err
	case code == msgpcode.Uint64:
		n, err := d.decoder.DecodeUint64()
		return strconv.AppendUint(out, n, 10), err
	case msgpcode.IsFixedNum(code), code >= msgpcode.Uint8 && code <= msgpcode.Int64:
		n, err := d.decoder.DecodeInt64()
		return strconv.AppendInt(out, n, 10), err
	case msgpcode.IsString(code):
		return d.text(out)
	case msgpcode.IsBin(code):
		data, err := d.bytes()
		return append(out, bytesValue(data)...), err
	case msgpcode.IsFixedArray(code), code == msgpcode.Array16, code == msgpcode.Array32:
		return d.array(out, depth)
	case msgpcode.IsFixedMap(code), code == msgpcode.Map16, code == msgpcode.Map32:
		return d.object(out, depth)
	}
	return nil, fmt.Errorf("%w: msgpack code %#x", ErrType, code)
}

// bytes reads the content of a string or binary. The length is checked against what is there before it is allocated.
func (d *msgpackReader) bytes() ([]byte, error) {
	n, err := d.decoder.DecodeBytesLen()
	if err != nil {
		return nil, err
	}
	if n < 0 {
		return nil, nil
	}
	if n > d.input.Len() {
		return nil, io.ErrUnexpectedEOF
	}
	data := make([]byte, n)
	return data, d.decoder.ReadFull(data)
}

func (d *msgpackReader) text(out []byte) ([]byte, error) {
	data, err := d.bytes()
	if err != nil {
		return nil, err
	}
	if !utf8.Valid(data) {
		return nil, errors.New("a string that is not UTF-8")
	}
	return appendQuoted(out, string(data)), nil
}

func (d *msgpackReader) array(out []byte, depth int) ([]byte, error) {
	n, err := d.decoder.DecodeArrayLen()
	if err != nil {
		return nil, err
	}
	out = append(out, '[')
	for i := range n {
		if i > 0 {
			out = append(out, ',', ' ')
		}
		if out, err = d.value(out, depth-1); err != nil {
			return nil, err
		}
	}
	return append(out, ']'), nil
}

func (d *msgpackReader) object(out []byte, depth int) ([]byte, error) {
	n, err := d.decoder.DecodeMapLen()
	if err != nil {
		return nil, err
	}
	out = append(out, '{')
	for i := range n {
		if i > 0 {
			out = append(out, ',', ' ')
		}
		key, err := d.value(nil, 1)
		if err != nil {
			return nil, err
		}
		out = append(append(out, keyText(key)...), ':', ' ')
		if out, err = d.value(out, depth-1); err != nil {
			return nil, err
		}
	}
	return append(out, '}'), nil
}

// keyText makes a JSON key of a value as Python's json.dumps does: None is "null", 1 is "1".
func keyText(key Raw) Raw {
	if len(key) > 0 && key[0] == '"' {
		return key
	}
	return Quote(string(key))
}

// encodeMsgpack translates JSON text into msgpack as Python's msgpack.packb(use_bin_type=True) does. Kombu's typed bytes become binary; other typed
// values have no msgpack form in kombu and are an error, as they are in Python.
func encodeMsgpack(value Raw) ([]byte, error) {
	parsed, err := ParseValue(value, Limits{MaxDepth: maxNesting})
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	e := msgpack.NewEncoder(&out)
	e.UseCompactInts(true)
	if err := packValue(e, parsed); err != nil {
		return nil, fmt.Errorf("write msgpack: %w", err)
	}
	return out.Bytes(), nil
}

func packValue(e *msgpack.Encoder, value any) error {
	switch v := value.(type) {
	case nil:
		return e.EncodeNil()
	case bool:
		return e.EncodeBool(v)
	case int64:
		return e.EncodeInt(v)
	case *big.Int:
		if !v.IsUint64() {
			return fmt.Errorf("%w: integer out of msgpack's range", ErrType)
		}
		return e.EncodeUint(v.Uint64())
	case float64:
		return e.EncodeFloat64(v)
	case string:
		return e.EncodeString(v)
	case []byte:
		return e.EncodeBytes(v)
	case []any:
		if err := e.EncodeArrayLen(len(v)); err != nil {
			return err
		}
		for _, element := range v {
			if err := packValue(e, element); err != nil {
				return err
			}
		}
		return nil
	case *Map:
		if err := e.EncodeMapLen(len(v.Members)); err != nil {
			return err
		}
		for _, member := range v.Members {
			if err := e.EncodeString(member.Name); err != nil {
				return err
			}
			if err := packValue(e, member.Value); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("%w: msgpack has no form for %T", ErrType, value)
}
