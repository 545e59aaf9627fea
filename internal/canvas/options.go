package canvas

import (
	"bytes"
	"slices"

	"github.com/lovage-go/lovage/protocol"
)

// option is one execution option of a signature: JSON text, or a chord's body that is still being prepared.
type option struct {
	name string
	raw  protocol.Raw
	ref  *Signature
}

func (o option) none() bool { return o.ref == nil && o.raw.IsNull() }

// options are apply_async's options in their order. None counts as absent wherever Celery drops it.
type options []option

func (o options) find(name string) int {
	return slices.IndexFunc(o, func(e option) bool { return e.name == name })
}

func (o options) has(name string) bool { return o.find(name) >= 0 }

// get is the JSON text of an option; empty when it is absent or null.
func (o options) get(name string) protocol.Raw {
	if i := o.find(name); i >= 0 && !o[i].none() {
		return o[i].raw
	}
	return nil
}

func (o options) text(name string) string {
	text, _ := o.get(name).Text()
	return text
}

func (o *options) put(e option) {
	if i := o.find(e.name); i >= 0 {
		(*o)[i] = e
		return
	}
	*o = append(*o, e)
}

func (o *options) set(name string, raw protocol.Raw) { o.put(option{name: name, raw: raw}) }

func (o *options) setText(name, text string) { o.set(name, protocol.Quote(text)) }

// pop removes an option and returns it; a null one counts as absent.
func (o *options) pop(name string) (option, bool) {
	i := o.find(name)
	if i < 0 {
		return option{}, false
	}
	e := (*o)[i]
	*o = slices.Delete(slices.Clone(*o), i, i+1)
	return e, !e.none()
}

func (o options) clone() options { return slices.Clone(o) }

// given drops the options that are null.
func (o options) given() options {
	return slices.DeleteFunc(o.clone(), option.none)
}

// over returns o with the options of top in place of its own.
func (o options) over(top options) options {
	merged := o.clone()
	for _, e := range top {
		merged.put(e)
	}
	return merged
}

// merge is over, except that a signature's group and stamps stay (Signature._IMMUTABLE_OPTIONS): chords are counted by the one, revokes look for the others.
func (o options) merge(top options) options {
	fixed := []string{"group_id", "stamped_headers"}
	fixed = append(fixed, o.stampedHeaders()...)
	merged := o.clone()
	for _, e := range top {
		if o.has(e.name) && slices.Contains(fixed, e.name) {
			continue
		}
		merged.put(e)
	}
	return merged
}

func (o options) stampedHeaders() []string {
	var names []string
	elements, _ := o.get("stamped_headers").Elements()
	for _, element := range elements {
		if name, ok := element.Text(); ok {
			names = append(names, name)
		}
	}
	return names
}

// list reads an option that is a signature or a list of signatures.
func (o options) list(name string) []protocol.Raw { return maybeList(o.get(name)) }

func maybeList(raw protocol.Raw) []protocol.Raw {
	if raw.IsNull() {
		return nil
	}
	if raw[0] != '[' {
		return []protocol.Raw{raw}
	}
	elements, _ := raw.Elements()
	return elements
}

// appendTo adds a signature to a list option, once.
func (o *options) appendTo(name string, signature protocol.Raw) {
	items := o.list(name)
	if slices.ContainsFunc(items, func(item protocol.Raw) bool { return bytes.Equal(item, signature) }) {
		return
	}
	o.set(name, protocol.Array(append(slices.Clip(items), signature)))
}

// extend adds signatures to a list option, also those that it has.
func (o *options) extend(name string, signatures []protocol.Raw) {
	o.set(name, protocol.Array(append(slices.Clip(o.list(name)), signatures...)))
}
