package tasks

import (
	"encoding/json"
	"math/big"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"github.com/lovage-go/lovage/protocol"
)

type tree struct {
	Name  string
	Left  *tree
	Nodes []tree
	Named map[string]*tree
}

// every has a parameter of each kind that can be bound.
type every struct {
	Integer  int8      `default:"1"`
	Unsigned uint64    `default:"1"`
	Small    float32   `default:"1"`
	Flag     bool      `default:"true"`
	Text     string    `default:"x"`
	Bytes    []byte    `json:",omitempty"`
	At       time.Time `json:",omitzero"`
	Local    *protocol.DateTime
	Pause    time.Duration   `default:"1.5"`
	ID       uuid.UUID       `json:",omitzero"`
	Price    decimal.Decimal `default:"1.10"`
	Big      *big.Int
	Level    Level           `default:"low"`
	Any      any             `default:"null"`
	Raw      protocol.Raw    `json:",omitempty"`
	JSON     json.RawMessage `json:",omitempty"`
	Tree     *tree
	Pair     [2]int             `json:",omitempty"`
	Levels   map[Level]int      `json:",omitempty"`
	Numbers  map[float64]bool   `json:",omitempty"`
	Keys     map[any]any        `json:",omitempty"`
	IDs      map[uuid.UUID]int  `json:",omitempty"`
	Days     map[time.Time]int  `json:",omitempty"`
	Rest     []int              `lovage:"args"`
	More     map[string]float64 `lovage:"kwargs"`
}

// FuzzBind gives every parameter in turn any well-formed value: it binds or is refused, and what was bound can be written as a result.
func FuzzBind(f *testing.F) {
	for _, seed := range []string{
		"1", "-1.5", "1e400", "-Infinity", "NaN", "null", "true", `"x"`, `"2026-01-02T03:04:05Z"`, `"\ud800"`, "[1, 2]", "123456789012345678901234567890",
		`{"__type__": "datetime", "__value__": "2026-01-02T03:04:05"}`, `{"__type__": "base64", "__value__": "/w=="}`, `{"__type__": "uuid", "__value__": {"hex": "00112233445566778899aabbccddeeff"}}`,
		`{"__type__": "decimal", "__value__": "1.10"}`, `{"__type__": "odd", "__value__": 1}`, `{"name": "a", "left": {"nodes": [{}, {"named": {"b": null}}]}}`, `{"1": 1, "low": 2, "": {}, "{": 1}`,
	} {
		f.Add([]byte(seed))
	}
	list := reflect.TypeFor[every]()
	b, err := newBinder("tasks.f", list)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		raw := protocol.Raw(data)
		if raw.Valid(protocol.Limits{MaxDepth: 100}) != nil {
			return
		}
		for _, p := range b.params {
			value := reflect.New(list).Elem()
			if err := b.bind(value, nil, protocol.Object{{Name: p.name, Value: raw}, {Name: "more", Value: protocol.Raw("1")}}); err != nil {
				continue
			}
			if _, err := protocol.Marshal(value.FieldByIndex(p.index).Interface()); err != nil && p.name != "keys" {
				t.Errorf("%s was bound to %s, which cannot be written: %v", data, p.name, err)
			}
		}
		args := make([]protocol.Raw, b.position+1)
		for i := range args {
			args[i] = raw
		}
		if err := b.bind(reflect.New(list).Elem(), args, nil); err == nil {
			t.Errorf("%s was taken for every type", data)
		}
	})
}
