package cache_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/lovage-go/lovage/cache"
	"github.com/lovage-go/lovage/internal/testenv"
	"github.com/lovage-go/lovage/protocol"
	store "github.com/lovage-go/lovage/sql"
	"github.com/lovage-go/lovage/tasks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type vector struct {
	Name       string            `json:"name"`
	Dimensions map[string]string `json:"dimensions"`
	Parts      []string          `json:"parts"`
	Refused    bool              `json:"refused"`
}

// keyOf builds a vector's key; of dimensions that cannot be read, and of those that are refused, "".
func keyOf(t *testing.T, v vector) string {
	t.Helper()
	raw, err := protocol.Marshal(v.Dimensions)
	if err != nil {
		t.Fatal(err)
	}
	members, err := raw.Members()
	if err != nil {
		t.Fatal(err)
	}
	d, err := tasks.ParseDimensions(members, nil, tasks.DimensionRules{})
	if err != nil {
		return ""
	}
	key, err := cache.NewKey(v.Name, d, v.Parts...)
	if err != nil {
		return ""
	}
	return key.String()
}

func TestGoAndPythonBuildTheSameKeys(t *testing.T) {
	text, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	script := `
import json, sys
sys.path.insert(0, sys.argv[1])
from lovage_cache import cache_key
out = []
for v in json.load(open(sys.argv[2])):
    try: out.append(cache_key(v["name"], v["dimensions"], *v["parts"]).text)
    except ValueError: out.append("")
print(json.dumps(out))
`
	path, err := filepath.Abs("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	out := testenv.Python(t, testenv.Celery57).Run(t.TempDir(), nil, script, "-", filepath.Join(testenv.Root(t), "examples", "insurance"), path)
	var python []string
	if err := json.Unmarshal([]byte(out), &python); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i, v := range vectors {
		ours := keyOf(t, v)
		if ours != python[i] || (ours == "") != v.Refused || ours != "" && seen[ours] {
			t.Errorf("%+v: Go %q, Python %q", v, ours, python[i])
		}
		seen[ours] = true
	}
	t.Logf("%d vectors", len(vectors))
}

func TestNoTwoModesOrRunsShareAKey(t *testing.T) {
	one := rapid.Custom(func(t *rapid.T) tasks.Dimensions {
		d := tasks.Dimensions{
			AccessMode: rapid.SampledFrom([]string{"public", "broker", "internal"}).Draw(t, "mode"),
			RegionCode: rapid.SampledFrom([]string{"", "DE", "FR", "run", "mode"}).Draw(t, "region"),
			ProductID:  rapid.SampledFrom([]string{"", "hail", "public", "r1"}).Draw(t, "product"),
			DataType:   rapid.SampledFrom([]string{"", "observed", "predicted"}).Draw(t, "type"),
		}
		if d.DataType == tasks.Predicted {
			d.PredictionRunID = rapid.SampledFrom([]string{"r1", "r2", "r1.r2"}).Draw(t, "run")
		}
		return d
	})
	pairs := 0
	rapid.Check(t, func(t *rapid.T) {
		a, b := one.Draw(t, "a"), one.Draw(t, "b")
		parts := rapid.SliceOfN(rapid.SampledFrom([]string{"x", "", "mode=public", "|"}), 0, 3).Draw(t, "parts")
		ka, errA := cache.NewKey("n", a, parts...)
		kb, errB := cache.NewKey("n", b, parts...)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		pairs++
		if (a == b) != (ka.String() == kb.String()) {
			t.Fatalf("%+v and %+v: %s and %s", a, b, ka, kb)
		}
		if _, err := cache.NewKey("n", tasks.Dimensions{RegionCode: a.RegionCode}); !errors.Is(err, cache.ErrKey) {
			t.Fatalf("without a mode: %v", err)
		}
	})
	t.Logf("%d pairs of dimension sets", pairs)
}

func open(t *testing.T, server *testenv.RedisServer) *cache.Cache {
	t.Helper()
	c, err := cache.New(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func key(t *testing.T, mode, run string) cache.Key {
	t.Helper()
	k, err := cache.NewKey("n", tasks.Dimensions{AccessMode: mode, DataType: tasks.Predicted, PredictionRunID: run, RegionCode: "DE"})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestAValueIsComputedOnceAndInvalidated(t *testing.T) {
	server := testenv.Redis(t)
	c, other := open(t, server), open(t, server)
	var computed atomic.Int32
	get := func(c *cache.Cache, k cache.Key) int {
		var n int
		err := c.Get(t.Context(), k, time.Minute, &n, func(context.Context) (any, error) {
			<-time.After(20 * time.Millisecond)
			return computed.Add(1), nil
		})
		if err != nil {
			t.Error(err)
		}
		return n
	}
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			if n := get([]*cache.Cache{c, other}[i%2], key(t, "public", "r1")); n != 1 {
				t.Errorf("value %d", n)
			}
		})
	}
	all.Wait()
	if n := get(c, key(t, "public", "r2")); n != 2 {
		t.Errorf("another run has value %d", n)
	}
	if err := c.Switched(t.Context(), store.Invalidation{Scope: "risk", From: "r1", To: "r2", Version: 2}); err != nil {
		t.Fatal(err)
	}
	if one, two := get(c, key(t, "public", "r1")), get(c, key(t, "public", "r2")); one != 3 || two != 2 {
		t.Errorf("after r1 was invalidated: r1 %d, r2 %d", one, two)
	}
	if err := c.Invalidate(t.Context(), cache.Region("DE")); err != nil {
		t.Fatal(err)
	}
	if n := get(c, key(t, "public", "r2")); n != 4 {
		t.Errorf("after the region was invalidated: %d", n)
	}
	server.Kill()
	if n := get(c, key(t, "public", "r2")); n != 5 {
		t.Errorf("without Redis: %d", n)
	}
}

func TestAValueUnderAnotherModesKeyIsRefused(t *testing.T) {
	server := testenv.Redis(t)
	c := open(t, server)
	foreign := 0
	c.Foreign = func(cache.Key) { foreign++ }
	public, internal := key(t, "public", "r1"), key(t, "internal", "r1")
	if err := c.Set(t.Context(), internal, time.Minute, "secret"); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		server.Do("COPY", internal.String(), public.String(), "REPLACE")
		var text string
		err := c.Get(t.Context(), public, time.Minute, &text, func(context.Context) (any, error) { return "open", nil })
		if err != nil || text != "open" {
			t.Fatalf("read %q, %v", text, err)
		}
	}
	out := testenv.Python(t, testenv.Celery57).Run(t.TempDir(), nil, `
import sys, redis
sys.path.insert(0, sys.argv[1])
from lovage_cache import Cache, cache_key
c = Cache(redis.Redis(port=int(sys.argv[2])))
d = {"data_type": "predicted", "prediction_run_id": "r1", "region_code": "DE"}
internal, public = cache_key("n", {**d, "access_mode": "internal"}), cache_key("n", {**d, "access_mode": "public"})
print(c.get(internal), c.get(public))
c.redis.copy(internal.text, public.text, replace=True)
print(c.get(public))
c.set(public, {"from": "python"}, 60)
`, "-", filepath.Join(testenv.Root(t), "examples", "insurance"), fmt.Sprint(server.Port()))
	if strings.TrimSpace(out) != "secret open\nNone" {
		t.Errorf("Python reads %q", out)
	}
	var value map[string]string
	err := c.Get(t.Context(), public, time.Minute, &value, func(context.Context) (any, error) { return nil, errors.New("not computed") })
	if err != nil || value["from"] != "python" {
		t.Errorf("Go reads %v, %v", value, err)
	}
	t.Logf("%d values under another mode's key, all refused", foreign)
}
