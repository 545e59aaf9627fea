package protocol

import "fmt"

// readV1 reads version 1's body: one object. It is also gocelery's dialect.
func (t *Task) readV1(body []byte, lim Limits) error {
	if err := Raw(body).Valid(lim); err != nil {
		return err
	}
	members, err := Raw(body).Members()
	if err != nil {
		return fmt.Errorf("%w body: neither a task message of version 2 (headers name no task) nor of version 1", ErrSyntax)
	}
	var failure error
	for _, member := range members {
		if member.Value.IsNull() {
			continue
		}
		if err := t.readV1Member(member.Name, member.Value); err != nil && failure == nil {
			failure = err
		}
	}
	if failure != nil {
		return failure
	}
	if t.Name == "" || t.ID == "" {
		return fmt.Errorf("%w body: no task and id", ErrSyntax)
	}
	return nil
}

func (t *Task) readV1Member(name string, value Raw) (err error) {
	switch name {
	case "task":
		t.Name, err = headerText("task", value)
	case "id":
		t.ID, err = headerText("id", value)
	case "args":
		err = t.readArgs(value)
	case "kwargs":
		err = t.readKwargs(value)
	case "retries":
		t.Retries, err = headerInt("retries", value)
	case "eta":
		t.ETA, err = headerTime("eta", value)
	case "expires":
		t.Expires, err = headerTime("expires", value)
	case "timelimit":
		err = t.readTimeLimit(value)
	case "taskset", "group":
		t.GroupID = looseText(value)
	case "callbacks", "errbacks", "chain", "chord":
		err = t.readEmbedded(name, value)
	}
	return err
}
