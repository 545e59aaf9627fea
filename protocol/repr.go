package protocol

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"
)

// Repr writes a value as Celery shows it in argsrepr, in events and in logs: as celery/utils/saferepr.py of Celery 5.7 does with maxlen = most, three levels
// deep, "..." where something is left out, strings without escapes. It looks only at as much of the text as it shows. With most = 0 it is Python's
// own repr(), whole. Text that is no value is given as it is, cut.
func Repr(raw Raw, most int) string {
	if most <= 0 {
		return fullRepr(raw)
	}
	w := safeRepr{left: most, data: raw, i: skipSpace(raw, 0)}
	if err := w.value(0); err != nil && !errors.Is(err, errReprFull) {
		return truncate(string(raw), most)
	}
	return string(w.out)
}

// ReprArgs writes positional arguments as Celery shows a tuple of them.
func ReprArgs(args []Raw, most int) string {
	closer := ")"
	if len(args) == 1 {
		closer = ",)"
	}
	if most <= 0 {
		return "(" + joinRepr(args) + closer
	}
	w := safeRepr{left: most}
	err := w.open("(", closer)
	for i := 0; i < len(args) && err == nil; i++ {
		if i > 0 {
			err = w.emit(", ")
		}
		if err == nil {
			err = w.raw(args[i])
		}
	}
	if err == nil {
		w.close()
	}
	return string(w.out)
}

// ReprKwargs writes keyword arguments as Celery shows a dict.
func ReprKwargs(kwargs Object, most int) string {
	if most <= 0 {
		return fullRepr(kwargs.Raw())
	}
	w := safeRepr{left: most}
	err := w.open("{", "}")
	for i := 0; i < len(kwargs) && err == nil; i++ {
		if i > 0 {
			err = w.emit(", ")
		}
		if err == nil {
			err = w.key(kwargs[i].Name)
		}
		if err == nil {
			err = w.raw(kwargs[i].Value)
		}
	}
	if err == nil {
		w.close()
	}
	return string(w.out)
}

func joinRepr(args []Raw) string {
	parts := make([]string, len(args))
	for i, arg := range args {
		parts[i] = fullRepr(arg)
	}
	return strings.Join(parts, ", ")
}

func fullRepr(raw Raw) string {
	value, err := ParseValue(raw, Limits{MaxDepth: maxNesting})
	if err != nil {
		return string(raw)
	}
	return string(appendRepr(nil, value))
}

// errReprFull ends the walk: what is shown is complete.
var errReprFull = errors.New("nothing more is shown")

// reprLevels is Celery's task_repr_maxlevels: containers below this many are shown as [...] and {...}.
const reprLevels = 3

// safeRepr walks over JSON text and writes its repr until it is too long.
type safeRepr struct {
	data    []byte
	i       int
	out     []byte
	left    int // characters until it is too long
	closers []string
}

// emit writes a token that is shown whole, or ends the walk: ", ..." and the brackets that are still open.
func (w *safeRepr) emit(token string) error {
	if w.left <= 0 {
		w.out = append(w.out, ", ..."...)
		for len(w.closers) > 0 {
			w.close()
		}
		return errReprFull
	}
	w.out = append(w.out, token...)
	w.left -= characters(token)
	return nil
}

// cutting writes a token of which a part may be shown.
func (w *safeRepr) cutting(token string) error {
	if w.left > 0 {
		token = truncate(token, w.left)
	}
	return w.emit(token)
}

func (w *safeRepr) open(bracket, closer string) error {
	if err := w.emit(bracket); err != nil {
		return err
	}
	w.closers = append(w.closers, closer)
	return nil
}

// close writes the innermost closing bracket. It is written, and not counted, also when the rest is cut off.
func (w *safeRepr) close() {
	last := len(w.closers) - 1
	closer := w.closers[last]
	w.closers = w.closers[:last]
	w.out = append(w.out, closer...)
	if w.left > 0 {
		w.left -= len(closer)
	}
}

func (w *safeRepr) raw(value Raw) error {
	if len(value) == 0 {
		value = Null()
	}
	inner := *w
	inner.data, inner.i = value, skipSpace(value, 0)
	err := inner.value(1)
	w.out, w.left, w.closers = inner.out, inner.left, inner.closers
	if err != nil && !errors.Is(err, errReprFull) {
		return w.cutting(string(value))
	}
	return err
}

func (w *safeRepr) value(level int) error {
	if w.i >= len(w.data) {
		return syntaxError(w.i, "unexpected end")
	}
	c := w.data[w.i]
	if c == '[' || c == '{' && !w.atTyped() {
		if level >= reprLevels {
			return w.deep()
		}
		if c == '[' {
			return w.list(level)
		}
		return w.dict(level)
	}
	start := w.i
	end, err := scanValue(w.data, start, maxNesting)
	if err != nil {
		return err
	}
	w.i = end
	if c == '{' {
		return w.typed(Raw(w.data[start:end]), level)
	}
	value, err := scalar(w.data[start:end])
	if err != nil {
		return w.cutting(string(w.data[start:end]))
	}
	return w.scalar(value)
}

// deep shows a container below the levels.
func (w *safeRepr) deep() error {
	shown := "{...}"
	if w.data[w.i] == '[' {
		shown = "[...]"
	}
	if err := w.emit(shown); err != nil {
		return err
	}
	end, err := scanValue(w.data, w.i, maxNesting)
	w.i = end
	return err
}

// atTyped tells that an object looks like kombu's typed values.
func (w *safeRepr) atTyped() bool {
	key := w.data[skipSpace(w.data, w.i+1):]
	return bytes.HasPrefix(key, []byte(`"__type__"`)) || bytes.HasPrefix(key, []byte(`"__value__"`))
}

// typed shows a typed value, or the dict that only looked like one.
func (w *safeRepr) typed(raw Raw, level int) error {
	value, err := ParseValue(raw, Limits{})
	if _, isMap := value.(*Map); err == nil && !isMap {
		return w.scalar(value)
	}
	if level >= reprLevels {
		return w.emit("{...}")
	}
	inner := *w
	inner.data, inner.i = raw, 0
	err = inner.dict(level)
	w.out, w.left, w.closers = inner.out, inner.left, inner.closers
	return err
}

func (w *safeRepr) scalar(value any) error {
	switch v := value.(type) {
	case string:
		return w.text(v)
	case []byte:
		if w.left > 0 && len(v) > w.left {
			return w.emit("b'" + binaryText(v[:w.left]) + "...'")
		}
		return w.emit("b'" + binaryText(v) + "'")
	}
	return w.cutting(string(appendRepr(nil, value)))
}

func (w *safeRepr) text(s string) error {
	if w.left > 0 {
		s = truncate(s, w.left)
	}
	return w.emit("'" + strings.ReplaceAll(s, "'", `\'`) + "'")
}

// binaryText is bytes as saferepr shows them: as text, or as hexadecimal digits when they are not UTF-8.
func binaryText(data []byte) string {
	if utf8.Valid(data) {
		return string(data)
	}
	out := make([]byte, 0, 2*len(data))
	for _, c := range data {
		out = append(out, hexDigits[c>>4], hexDigits[c&0xF])
	}
	return string(out)
}

func (w *safeRepr) key(name string) error {
	if err := w.text(name); err != nil {
		return err
	}
	return w.emit(": ")
}

func (w *safeRepr) list(level int) error {
	if err := w.open("[", "]"); err != nil {
		return err
	}
	p := valueParser{data: w.data, i: skipSpace(w.data, w.i+1)}
	for closed := p.at(']'); !closed; {
		w.i = p.i
		if err := w.value(level + 1); err != nil {
			return err
		}
		p.i = w.i
		var err error
		if closed, err = p.next(']', "an array"); err != nil {
			return err
		}
		if !closed {
			if err := w.emit(", "); err != nil {
				return err
			}
			continue
		}
		p.i--
	}
	w.i = p.i + 1
	w.close()
	return nil
}

func (w *safeRepr) dict(level int) error {
	if err := w.open("{", "}"); err != nil {
		return err
	}
	p := valueParser{data: w.data, i: skipSpace(w.data, w.i+1), budget: 1 << 62}
	for closed := p.at('}'); !closed; {
		name, err := p.key()
		if err != nil {
			return err
		}
		if err := w.key(name); err != nil {
			return err
		}
		w.i = p.i
		if err := w.value(level + 1); err != nil {
			return err
		}
		p.i = w.i
		if closed, err = p.next('}', "an object"); err != nil {
			return err
		}
		if !closed {
			if err := w.emit(", "); err != nil {
				return err
			}
			continue
		}
		p.i--
	}
	w.i = p.i + 1
	w.close()
	return nil
}

// truncate is celery.utils.text.truncate: the last, perhaps broken word of what is kept is left out.
func truncate(s string, most int) string {
	if len(s) < most || characters(s) < most {
		return s
	}
	end := 0
	for range most {
		_, size := decodeRune(s[end:])
		end += size
	}
	kept := s[:end]
	if space := strings.LastIndexByte(kept, ' '); space >= 0 {
		kept = kept[:space]
	}
	return kept + "..."
}

// characters counts as Python's len does, a lone surrogate being one.
func characters(s string) int {
	if utf8.ValidString(s) {
		return utf8.RuneCountInString(s)
	}
	n := 0
	for i := 0; i < len(s); n++ {
		_, size := decodeRune(s[i:])
		i += size
	}
	return n
}
