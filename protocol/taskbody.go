package protocol

import "fmt"

// readBody reads the body: version 2's list, version 1's object, or the object of a message whose headers name the task all the same, which Celery
// calls hybrid (celery/worker/strategy.py).
func (t *Task) readBody(body []byte, lim Limits) error {
	i := skipSpace(body, 0)
	switch {
	case i < len(body) && body[i] == '{':
		t.objectBody = true
		if t.Version == 2 {
			return t.readHybrid(body, lim)
		}
		return t.readV1(body, lim)
	case t.Version == 1:
		if err := checkWhole(body, lim.MaxDepth); err != nil {
			return err
		}
		return fmt.Errorf("%w body: neither a task message of version 2 (headers name no task) nor of version 1", ErrSyntax)
	case i < len(body) && body[i] == '[':
		return t.readV2(body, i, lim)
	}
	return fmt.Errorf("%w body: not a list of args, kwargs and embed", ErrSyntax)
}

// readV2 reads [args, kwargs, embed].
func (t *Task) readV2(body []byte, i int, lim Limits) error {
	parts := elementScanner{data: body, depth: lim.MaxDepth}
	if err := parts.open(i); err != nil {
		return err
	}
	part := 0
	for ; ; part++ {
		start, err := parts.next()
		if err != nil {
			return err
		}
		if start < 0 {
			break
		}
		if parts.at, err = t.readBodyPart(part, body, start, lim.MaxDepth-1); err != nil {
			return err
		}
	}
	if end := skipSpace(body, parts.at); end != len(body) {
		return syntaxError(end, "extra data")
	}
	if part != 3 {
		return fmt.Errorf("%w body: not a list of args, kwargs and embed", ErrSyntax)
	}
	return nil
}

func (t *Task) readBodyPart(part int, body []byte, start, depth int) (end int, err error) {
	if part == 0 && body[start] == '[' {
		t.Args, end, err = splitArray(body, start, depth)
		return end, err
	}
	if end, err = scanValue(body, start, depth); err != nil {
		return end, err
	}
	value := Raw(body[start:end:end])
	switch part {
	case 0:
		return end, t.readArgs(value)
	case 1:
		return end, t.readKwargs(value)
	case 2:
		return end, t.readEmbed(value)
	}
	return end, fmt.Errorf("%w body: more than three parts", ErrSyntax)
}

// splitArray splits the array that begins at data[i] and gives the index after it.
func splitArray(data []byte, i, depth int) (elements []Raw, end int, err error) {
	scanner := elementScanner{data: data, depth: depth}
	if err := scanner.open(i); err != nil {
		return nil, i, err
	}
	for {
		start, err := scanner.next()
		if err != nil || start < 0 {
			return elements, scanner.at, err
		}
		if scanner.at, err = scanValue(data, start, depth-1); err != nil {
			return elements, scanner.at, err
		}
		if elements == nil {
			elements = make([]Raw, 0, 4)
		}
		elements = append(elements, data[start:scanner.at:scanner.at])
	}
}

func (t *Task) readArgs(value Raw) (err error) {
	if value.IsNull() {
		return nil
	}
	if t.Args, err = value.Elements(); err != nil {
		return fmt.Errorf("args: %w", err)
	}
	return nil
}

func (t *Task) readKwargs(value Raw) (err error) {
	if value.IsNull() || string(value) == "{}" {
		return nil
	}
	if t.Kwargs, err = value.Members(); err != nil {
		return fmt.Errorf("kwargs: %w", err)
	}
	return nil
}

const emptyEmbed = `{"callbacks": null, "errbacks": null, "chain": null, "chord": null}`

func (t *Task) readEmbed(value Raw) error {
	if value.IsNull() || string(value) == emptyEmbed {
		return nil
	}
	embed, err := value.Members()
	if err != nil {
		return fmt.Errorf("embed: %w", err)
	}
	for _, member := range embed {
		if err := t.readEmbedded(member.Name, member.Value); err != nil {
			return err
		}
	}
	return nil
}

func (t *Task) readEmbedded(name string, value Raw) (err error) {
	if value.IsNull() {
		return nil
	}
	switch name {
	case "callbacks":
		t.Callbacks, err = signatures(value)
	case "errbacks":
		t.Errbacks, err = signatures(value)
	case "chain":
		t.Chain, err = signatures(value)
	case "chord":
		t.Chord = value
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// signatures reads a list of signatures; one alone may stand without its list.
func signatures(value Raw) ([]Raw, error) {
	if len(value) > 0 && value[0] == '{' {
		return []Raw{value}, nil
	}
	return value.Elements()
}
