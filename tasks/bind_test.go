package tasks

import (
	"context"
	"testing"

	"github.com/lovage-go/lovage/protocol"
)

type add struct{ X, Y int }

func BenchmarkTypedCall(b *testing.B) {
	run, err := Typed("tasks.add", func(_ context.Context, in add) (int, error) { return in.X + in.Y, nil })
	if err != nil {
		b.Fatal(err)
	}
	args := []protocol.Raw{protocol.Raw("1"), protocol.Raw("22")}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := run(context.Background(), args, nil); err != nil {
			b.Fatal(err)
		}
	}
}
