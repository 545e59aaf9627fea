package protocol

// Member is one name and value of an Object.
type Member struct {
	Name  string
	Value Raw
}

// Object is a JSON object whose order is kept. Methods that change it return the changed object, as append does.
type Object []Member

// Get finds a member by name.
func (o Object) Get(name string) (Raw, bool) {
	for i := range o {
		if o[i].Name == name {
			return o[i].Value, true
		}
	}
	return nil, false
}

// Text is the content of a member that is a JSON string, else "".
func (o Object) Text(name string) string {
	value, _ := o.Get(name)
	text, _ := value.Text()
	return text
}

// Set replaces the value of a member in place or adds it at the end.
func (o Object) Set(name string, value Raw) Object {
	for i := range o {
		if o[i].Name == name {
			o[i].Value = value
			return o
		}
	}
	return append(o, Member{name, value})
}

// Delete removes a member.
func (o Object) Delete(name string) Object {
	for i := range o {
		if o[i].Name == name {
			return append(o[:i:i], o[i+1:]...)
		}
	}
	return o
}

// AppendJSON writes the object as Python's json.dumps does: ", " and ": " between the parts.
func (o Object) AppendJSON(out []byte) []byte {
	out = append(out, '{')
	for i := range o {
		if i > 0 {
			out = append(out, ',', ' ')
		}
		out = appendQuoted(out, o[i].Name)
		out = append(out, ':', ' ')
		out = appendRaw(out, o[i].Value)
	}
	return append(out, '}')
}

// Raw is the object as a value.
func (o Object) Raw() Raw { return o.AppendJSON(nil) }

func appendRaw(out []byte, value Raw) []byte {
	if len(value) == 0 {
		return append(out, "null"...)
	}
	return append(out, value...)
}

// lastWins drops all but the last value of repeated names; the place is that of the first, as in a Python dict.
func (o Object) lastWins() Object {
	if len(o) < 2 {
		return o
	}
	if len(o) <= 16 {
		for i := 1; i < len(o); i++ {
			for j := range i {
				if o[j].Name == o[i].Name {
					return o.deduplicated()
				}
			}
		}
		return o
	}
	return o.deduplicated()
}

func (o Object) deduplicated() Object {
	place := make(map[string]int, len(o))
	kept := o[:0:0]
	for _, member := range o {
		if i, ok := place[member.Name]; ok {
			kept[i].Value = member.Value
			continue
		}
		place[member.Name] = len(kept)
		kept = append(kept, member)
	}
	return kept
}

func appendArray(out []byte, elements []Raw) []byte {
	out = append(out, '[')
	for i, element := range elements {
		if i > 0 {
			out = append(out, ',', ' ')
		}
		out = appendRaw(out, element)
	}
	return append(out, ']')
}

// Array writes values as a JSON array.
func Array(elements []Raw) Raw { return appendArray(nil, elements) }
