package lovage_test

import (
	"os"
	"strings"
	"testing"
)

// TestTheWorkerInTheReadmeIsTheOneThatCompiles keeps README.md and examples/minimal the same.
func TestTheWorkerInTheReadmeIsTheOneThatCompiles(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("examples/minimal/main.go")
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(string(program), "\npackage main")
	if !strings.Contains(string(readme), "```go\npackage main"+code+"```\n") {
		t.Error("the Go program in README.md is not examples/minimal/main.go from its package clause on")
	}
}
