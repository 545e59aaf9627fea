// Package malformed makes messages that no worker can run, for the tests.
package malformed

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/lovage-go/lovage/protocol"
)

// Messages makes more than 300 bad messages out of a good one: cut off, with headers of wrong types, bodies that are none, content types that nobody reads, nested too deeply,
// a bomb of 1 GB.
func Messages(tb testing.TB, good []byte) [][]byte {
	tb.Helper()
	var bad [][]byte
	for i := 0; i < len(good); i += 3 {
		bad = append(bad, good[:i])
	}
	for _, header := range []string{"task", "id", "retries", "eta", "expires", "timelimit", "compression"} {
		for _, value := range []string{`{"a": 1}`, `[1, 2, 3]`, `"\u0000x"`, `"nonsense"`} {
			m, err := protocol.DecodeMessage(good, protocol.Limits{})
			if err != nil {
				tb.Fatal(err)
			}
			if header == "task" || header == "id" { // any text is a name
				if value[0] == '"' {
					continue
				}
			}
			m.Headers = m.Headers.Set(header, protocol.Raw(value))
			bad = append(bad, m.AppendJSON(nil))
		}
	}
	bodies := []string{"!!!!", "bm90IGpzb24=", "e30=", "W10=", "W3t9LCBbXSwge31d", strings.Repeat("W", 5)}
	for _, body := range bodies {
		m, _ := protocol.DecodeMessage(good, protocol.Limits{})
		m.Body = []byte(body)
		bad = append(bad, m.AppendJSON(nil))
	}
	deep := `[[` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `], {}, {}]`
	for _, contentType := range []string{"application/x-python-serialize", "application/unheard-of", "application/x-msgpack", "application/data", ""} {
		m, _ := protocol.DecodeMessage(good, protocol.Limits{})
		m.ContentType = contentType
		bad = append(bad, m.AppendJSON(nil))
	}
	m, _ := protocol.DecodeMessage(good, protocol.Limits{})
	m.Body, m.Properties.BodyEncoding = []byte(deep), ""
	bad = append(bad, m.AppendJSON(nil))
	// A bomb: 1 GB of zeros as 1 MB of zlib.
	m, _ = protocol.DecodeMessage(good, protocol.Limits{})
	bomb, err := protocol.Deflate("zlib", make([]byte, 1<<30))
	if err != nil {
		tb.Fatal(err)
	}
	m.Body = base64.StdEncoding.AppendEncode(nil, bomb)
	m.Headers = m.Headers.Set("compression", protocol.Quote("application/x-gzip"))
	bad = append(bad, m.AppendJSON(nil))
	return append(bad, []byte("\x00\x00\x00"), []byte("\xff\xfe{"), []byte("null"), []byte("[]"), []byte("{}"), []byte(`{"body": 1}`), []byte(`{"body": "", "headers": [], "properties": 3}`))
}
