package tasks_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/lovage-go/lovage/protocol"
	"github.com/lovage-go/lovage/tasks"
)

func ExampleTyped() {
	type score struct {
		Region string
		Days   int            `json:"n_days" default:"7"`
		Rest   []int          `lovage:"args"`
		More   map[string]any `lovage:"kwargs"`
	}
	run, err := tasks.Typed("risk.score", func(_ context.Context, in score) (string, error) {
		return fmt.Sprint(in.Region, " ", in.Days, " ", in.Rest, " ", len(in.More)), nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	result, err := run(context.Background(), []protocol.Raw{protocol.Raw(`"north"`)}, protocol.Object{{Name: "x", Value: protocol.Raw("1")}})
	fmt.Println(string(result), err)
	_, err = run(context.Background(), nil, nil)
	fmt.Println(err)
	// Output:
	// "north 7 [] 1" <nil>
	// TypeError: score() missing 1 required positional argument: 'region'
}

func ExampleRaise() {
	err := fmt.Errorf("scoring: %w", tasks.Raise("ValueError", "too small", 3))
	fmt.Println(string(tasks.ExceptionOf(err).Raw()))
	// Output: {"exc_type": "ValueError", "exc_message": ["too small", 3], "exc_module": "builtins"}
}

func ExampleFromContext() {
	ctx := tasks.NewContext(context.Background(), &tasks.Request{ID: "an-id", Retries: 2})
	request, _ := tasks.FromContext(ctx)
	fmt.Println(request.ID, request.Retries)
	// Output: an-id 2
}

func ExampleExceptionOf() {
	fmt.Println(string(tasks.ExceptionOf(errors.New("out of luck")).Raw()))
	// Output: {"exc_type": "Exception", "exc_message": ["out of luck"], "exc_module": "builtins"}
}
