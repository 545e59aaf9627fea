package protocol

import "fmt"

// readV1 reads version 1's body: one object, which takes the place of all headers. It is also gocelery's dialect.
func (t *Task) readV1(body []byte, lim Limits) error {
	members, err := objectMembers(body, lim)
	if err != nil {
		return err
	}
	t.forgetHeaders()
	err = t.readV1Members(members, func(string) bool { return true })
	if taskset, ok := members.Get("taskset"); ok { // Celery lets it win over group
		t.GroupID = looseText(taskset)
	}
	t.Version = 1
	if err == nil && (t.Name == "" || t.ID == "") {
		err = fmt.Errorf("%w body: no task and id", ErrSyntax)
	}
	return err
}

// forgetHeaders clears what custom headers with known names have set: they mean nothing in version 1.
func (t *Task) forgetHeaders() {
	*t = Task{
		Version: 1, UTC: true, Priority: t.Priority, Redelivered: t.Redelivered, CorrelationID: t.CorrelationID, ReplyTo: t.ReplyTo,
		Exchange: t.Exchange, RoutingKey: t.RoutingKey, ContentType: t.ContentType, ContentEncoding: t.ContentEncoding,
		BodyCompression: t.BodyCompression, Deliveries: t.Deliveries, envelope: t.envelope, bodyEncoding: t.bodyEncoding, objectBody: true,
	}
}

// readHybrid reads a body of version 1 under headers of version 2; the headers win, also where they are null.
func (t *Task) readHybrid(body []byte, lim Limits) error {
	members, err := objectMembers(body, lim)
	if err != nil {
		return err
	}
	if _, ok := members.Get("args"); !ok { // by this Celery tells it from a body of version 2
		return fmt.Errorf("%w body: neither a list of args, kwargs and embed nor an object with args", ErrSyntax)
	}
	headers := t.Headers()
	return t.readV1Members(members, func(name string) bool {
		_, known := headers.Get(name)
		return !known
	})
}

func objectMembers(body []byte, lim Limits) (Object, error) {
	if err := checkWhole(body, lim.MaxDepth); err != nil {
		return nil, err
	}
	return Raw(body).Members()
}

// readV1Members reads arguments and signatures, and what else is wanted as if it were a header. The first failure is reported when all has been read.
func (t *Task) readV1Members(members Object, wanted func(name string) bool) (failure error) {
	for _, member := range members {
		if member.Value.IsNull() {
			continue
		}
		var err error
		switch member.Name {
		case "args":
			err = t.readArgs(member.Value)
		case "kwargs":
			err = t.readKwargs(member.Value)
		case "utc":
			t.UTC = truthy(member.Value)
		case "callbacks", "errbacks", "chord":
			err = t.readEmbedded(member.Name, member.Value)
		case "compression", "redelivered", DeliveriesHeader: // the envelope's alone
		default:
			if wanted(member.Name) {
				err = t.readHeader([]byte(member.Name), member.Value)
			}
		}
		if err != nil && failure == nil {
			failure = err
		}
	}
	return failure
}
