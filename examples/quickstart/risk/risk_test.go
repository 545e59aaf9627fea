package risk_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/lovage-go/lovage/examples/quickstart/risk"
	"github.com/lovage-go/lovage/internal/testenv"
)

// TestPythonComputesTheSame holds the Go and the Python code to the same digits.
func TestPythonComputesTheSame(t *testing.T) {
	python := testenv.Python(t, testenv.Celery57)
	for _, r := range []risk.Request{{Region: "north-sea", Seed: 1, Size: 8, Runs: 50}, {Region: "ä", Seed: -3, Size: 3, Runs: 7}, {Region: "x", Seed: 1 << 40, Size: 2, Runs: 1}} {
		want, err := risk.Compute(context.Background(), r)
		if err != nil {
			t.Fatal(err)
		}
		arguments, err := json.Marshal(map[string]any{"region": r.Region, "seed": r.Seed, "size": r.Size, "runs": r.Runs})
		if err != nil {
			t.Fatal(err)
		}
		for _, function := range []string{"plain", "vectorized"} {
			out := python.Run("..", nil, string(arguments), "-c", "import json, sys, risk; print(json.dumps(risk."+function+"(**json.load(sys.stdin))))")
			var got risk.Score
			if err := json.Unmarshal([]byte(out), &got); err != nil {
				t.Fatal(err)
			}
			if got != want {
				t.Errorf("%s %+v\nGo     %+v\nPython %+v", function, r, want, got)
			}
		}
	}
}

func TestACancelledComputationEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := risk.Compute(ctx, risk.Request{Size: 4, Runs: 1}); err == nil {
		t.Error("it went on")
	}
}
