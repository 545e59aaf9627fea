package protocol

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// textGrowth is how much longer JSON text may be than the msgpack it was made of: a control character of one byte takes six.
const textGrowth = 6

// decodeMsgpack translates msgpack into JSON text, reading it as kombu does: unpackb(raw=False). Binary becomes kombu's typed bytes, a timestamp its
// datetime. A dict that looks like kombu's typed JSON is taken for that, which kombu would not do. Lengths that the data claims are never
// allocated ahead.
func decodeMsgpack(data []byte, lim Limits) (Raw, error) {
	lim = lim.withDefaults()
	input := bytes.NewReader(data)
	d := msgpackReader{decoder: msgpack.NewDecoder(input), input: input, most: lim.MaxBody * textGrowth}
	out, err := d.value(make([]byte, 0, len(data)+len(data)/4), lim.MaxDepth)
	if err != nil {
		if errors.Is(err, ErrTooDeep) || errors.Is(err, ErrTooLarge) || errors.Is(err, ErrType) {
			return nil, fmt.Errorf("read msgpack: %w", err)
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
	case msgpcode.IsExt(code):
		return d.timestamp(out)
	}
	return nil, fmt.Errorf("the code %#x", code)
}

// bytes reads the content of a string or binary. The length is checked against what is there before it is allocated.
func (d *msgpackReader) bytes() ([]byte, error) {
	n, err := d.decoder.DecodeBytesLen()
	if err != nil {
		return nil, err
	}
	if n < 0 || n > d.input.Len() {
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

// timestamp reads msgpack's own extension type -1; Python knows no other without being told.
func (d *msgpackReader) timestamp(out []byte) ([]byte, error) {
	kind, size, err := d.decoder.DecodeExtHeader()
	if err != nil {
		return nil, err
	}
	if kind != -1 || size != 4 && size != 8 && size != 12 {
		return nil, fmt.Errorf("%w: msgpack's extension %d", ErrType, kind)
	}
	var data [12]byte
	if err := d.decoder.ReadFull(data[:size]); err != nil {
		return nil, err
	}
	number := new(big.Int).SetBytes(data[:size])
	var seconds, nanos int64
	switch size {
	case 4:
		seconds = number.Int64()
	case 8:
		seconds, nanos = int64(number.Uint64()&(1<<34-1)), int64(number.Uint64()>>34)
	default:
		nanos = int64(new(big.Int).SetBytes(data[:4]).Uint64())
		seconds = int64(new(big.Int).SetBytes(data[4:]).Uint64())
	}
	t := time.Unix(seconds, 0).UTC()
	if nanos >= 1e9 || t.Year() < 1 || t.Year() > 9999 || seconds > 1<<40 || seconds < -1<<40 {
		return nil, fmt.Errorf("%w: a timestamp of %d seconds", ErrType, seconds)
	}
	return append(out, typedRaw("datetime", DateTime{Time: t.Add(time.Duration(nanos))}.String())...), nil
}

func (d *msgpackReader) array(out []byte, depth int) ([]byte, error) {
	if depth <= 0 {
		return nil, ErrTooDeep
	}
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
	if depth <= 0 {
		return nil, ErrTooDeep
	}
	n, err := d.decoder.DecodeMapLen()
	if err != nil {
		return nil, err
	}
	out = append(out, '{')
	for i := range n {
		if i > 0 {
			out = append(out, ',', ' ')
		}
		code, err := d.decoder.PeekCode()
		if err != nil {
			return nil, err
		}
		if !msgpcode.IsString(code) { // Python's unpackb refuses them too, but for bytes
			return nil, fmt.Errorf("%w: a dict's key that is not a str", ErrType)
		}
		if out, err = d.text(out); err != nil {
			return nil, err
		}
		out = append(out, ':', ' ')
		if out, err = d.value(out, depth-1); err != nil {
			return nil, err
		}
	}
	return append(out, '}'), nil
}

// encodeMsgpack translates JSON text into msgpack as kombu does: packb(use_bin_type=True). Kombu's typed bytes become binary; other typed values,
// integers beyond 64 bits and lone surrogates have no form there and are ErrType, as they are errors in Python.
func encodeMsgpack(value Raw) ([]byte, error) {
	parsed, err := ParseValue(value, unlimited)
	if err != nil {
		return nil, fmt.Errorf("write msgpack: %w", err)
	}
	var out bytes.Buffer
	e := msgpack.NewEncoder(&out)
	e.UseCompactInts(true)
	if err := packValue(e, parsed); err != nil {
		return nil, fmt.Errorf("write msgpack: %w", err)
	}
	return out.Bytes(), nil
}

// unlimited is for values of our own.
var unlimited = Limits{MaxDepth: maxNesting, MaxBody: 1 << 50}

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
			return fmt.Errorf("%w: msgpack has no integer of %d bits", ErrType, v.BitLen())
		}
		return e.EncodeUint(v.Uint64())
	case float64:
		if math.IsNaN(v) {
			v = math.Float64frombits(0x7FF8 << 48) // Python's; Go's has another bit set
		}
		return e.EncodeFloat64(v)
	case string:
		return packText(e, v)
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
		return packMap(e, v)
	}
	return fmt.Errorf("%w: msgpack has no form for %T", ErrType, value)
}

func packMap(e *msgpack.Encoder, v *Map) error {
	if err := e.EncodeMapLen(len(v.Members)); err != nil {
		return err
	}
	for _, member := range v.Members {
		if err := packText(e, member.Name); err != nil {
			return err
		}
		if err := packValue(e, member.Value); err != nil {
			return err
		}
	}
	return nil
}

func packText(e *msgpack.Encoder, text string) error {
	if !utf8.ValidString(text) {
		return fmt.Errorf("%w: msgpack has no lone surrogates", ErrType)
	}
	return e.EncodeString(text)
}
