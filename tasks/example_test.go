package tasks_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

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

func ExampleTyped_defaults() {
	type report struct {
		Region string
		Limit  *int    // nil when it is not given, or None
		Scale  float64 `default:"1.5"` // scale=1.5
		Exact  bool    `default:"false" lovage:"kwonly"`
	}
	run, err := tasks.Typed("risk.report", func(_ context.Context, in *report) (string, error) {
		return fmt.Sprint(in.Region, in.Limit == nil, in.Scale, in.Exact), nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, args := range [][]protocol.Raw{
		{protocol.Raw(`"north"`)},
		{protocol.Raw(`"north"`), protocol.Raw("5"), protocol.Raw("2")},
		{protocol.Raw(`"north"`), protocol.Raw("5"), protocol.Raw("2"), protocol.Raw("true")},
		{protocol.Raw(`7`)},
	} {
		result, err := run(context.Background(), args, nil)
		fmt.Println(string(result), err)
	}
	// Output:
	// "northtrue 1.5 false" <nil>
	// "northfalse 2 false" <nil>
	//  TypeError: report() takes from 1 to 3 positional arguments but 4 were given
	//  TypeError: report() argument 'region': wrong type: 7 is not a string
}

func ExampleRetryIn() {
	fetch := func(context.Context, struct{ URL string }) (string, error) {
		return "", tasks.RetryIn(30*time.Second, errors.New("service unavailable"))
	}
	_, err := fetch(context.Background(), struct{ URL string }{"https://example.org"})
	fmt.Println(err)
	// Output: retry in 30s: service unavailable
}

func ExampleRetryPolicy() {
	policy := tasks.RetryPolicy{
		MaxRetries:       new(5),
		RetryBackoff:     2 * time.Second,
		RetryBackoffMax:  time.Minute,
		NoJitter:         true,
		AutoretryFor:     func(error) bool { return true },
		DontAutoretryFor: func(err error) bool { return errors.Is(err, fs.ErrNotExist) },
	}
	fmt.Println(policy.Auto(errors.New("timeout")), policy.Auto(fs.ErrNotExist))
	for retries := range *policy.MaxRetries + 1 {
		fmt.Print(policy.AutoDelay(retries, nil), " ")
	}
	// Output:
	// true false
	// 2s 4s 8s 16s 32s 1m0s
}
