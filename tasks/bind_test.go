package tasks

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/lovage-go/lovage/protocol"
)

type add struct{ X, Y int }

func benchmarkCall[In, Out any](b *testing.B, result Out, args []protocol.Raw, kwargs protocol.Object) {
	b.Helper()
	run, err := Typed("tasks.f", func(context.Context, In) (Out, error) { return result, nil })
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := run(ctx, args, kwargs); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTypedCall measures binding, a handler that does nothing, and the result.
func BenchmarkTypedCall(b *testing.B) {
	type mixed struct {
		Region string
		Days   int
		Scale  float64
	}
	type rest struct {
		List []int `lovage:"args"`
	}
	type rich struct {
		ID uuid.UUID
		At time.Time
	}
	b.Run("2 ints", func(b *testing.B) { benchmarkCall[add](b, 3, raws("1", "22"), nil) })
	b.Run("string int float", func(b *testing.B) { benchmarkCall[mixed](b, 2.5, raws(`"north"`, "7", "1.25"), nil) })
	b.Run("by keyword", func(b *testing.B) {
		benchmarkCall[mixed](b, "fine", nil, protocol.Object{{Name: "region", Value: protocol.Raw(`"north"`)}, {Name: "days", Value: protocol.Raw("7")}, {Name: "scale", Value: protocol.Raw("1.25")}})
	})
	b.Run("star args", func(b *testing.B) { benchmarkCall[rest](b, true, raws("1", "2", "3"), nil) })
	b.Run("nested", func(b *testing.B) { benchmarkCall[struct{ In add }](b, 1, raws(`{"X": 1, "Y": 2}`), nil) })
	b.Run("uuid and time", func(b *testing.B) {
		benchmarkCall[rich](b, 1, raws(`{"__type__": "uuid", "__value__": {"hex": "00112233445566778899aabbccddeeff"}}`, `"2026-01-02T03:04:05+00:00"`), nil)
	})
}
