package transport

import (
	"github.com/lovage-go/lovage/protocol"
)

// priorityOf reads the priority out of an envelope; a message that cannot be read goes to the plain list.
func priorityOf(envelope []byte) int {
	message, err := protocol.DecodeMessage(envelope, protocol.Limits{})
	if err != nil {
		return 0
	}
	return message.Properties.Priority
}
