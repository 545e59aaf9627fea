package protocol

import (
	"bytes"
	"math"
	"strconv"
)

// appendFloat writes a float as Python's repr does: the shortest digits that read back the same, always with a point or an exponent, and an exponent
// only below 1e-4 and from 1e16 on. json.dumps writes floats so as well, but for the three that are not finite. bits is 64, or 32 for
// the shortest digits of a float32.
func appendFloat(out []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(out, "nan"...)
	case math.IsInf(f, 1):
		return append(out, "inf"...)
	case math.IsInf(f, -1):
		return append(out, "-inf"...)
	}
	if size := math.Abs(f); size != 0 && (size < 1e-4 || size >= 1e16) {
		return strconv.AppendFloat(out, f, 'e', -1, bits) // Go's exponent has two digits at least, as Python's
	}
	start := len(out)
	out = strconv.AppendFloat(out, f, 'f', -1, bits)
	if bytes.IndexByte(out[start:], '.') < 0 {
		out = append(out, '.', '0')
	}
	return out
}

// AppendFloat writes a float as Python's json.dumps does: 1.0, 1e-05, NaN, Infinity.
func AppendFloat(out []byte, f float64) []byte { return appendJSONFloat(out, f, 64) }

// appendJSONFloat is AppendFloat for both sizes of float.
func appendJSONFloat(out []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(out, "NaN"...)
	case math.IsInf(f, 1):
		return append(out, "Infinity"...)
	case math.IsInf(f, -1):
		return append(out, "-Infinity"...)
	}
	return appendFloat(out, f, bits)
}
