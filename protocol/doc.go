// Package protocol is Celery's wire format: bytes on one side, meaning on the other. It is pure: no I/O, no clock, no goroutine.
//
//	bytes ──DecodeMessage──▶ Message ──Payload──▶ body bytes      the envelope (kombu)
//	bytes ──ParseTask──────▶ Task    (v1 and v2)                   what to run
//	Task        ──RetryMessage──▶ bytes                            its next attempt, header for header as Celery's
//	bytes ──MarkRedelivered, SetHeader──▶ bytes                    one header changed, every other byte kept
//	TaskMessage ──Message──▶ Message ──AppendJSON──▶ bytes         what a producer sends
//	Result, Exception, Event, ControlRequest, ControlReply         what goes back
//	Signature                                                      a task to be sent later
//
//	Raw        one value as JSON text, the way Python's json module reads and writes it: the value type of all of the above
//	ParseValue Raw ──▶ Go values     Marshal  Go values ──▶ Raw     Repr  Raw ──▶ Python's repr()
//
// Values stay Raw until a handler binds them, so no digit is lost on the way: 1 and 1.0 differ, integers have any length,
// NaN and lone surrogates survive. msgpack and YAML bodies are translated to Raw when they are decoded, so that binding has one path.
package protocol
