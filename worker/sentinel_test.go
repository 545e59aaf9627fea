package worker_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/lovage-go/lovage/client"
	"github.com/lovage-go/lovage/internal/testenv"
	"github.com/lovage-go/lovage/worker"
)

func TestTheWorkerFollowsAFailoverUnderSentinel(t *testing.T) {
	primary := testenv.Redis(t)
	replica := testenv.Redis(t, "--replicaof", "127.0.0.1 "+strconv.Itoa(primary.Port()))
	sentinel := testenv.Sentinel(t, primary)
	watcher, err := redis.Dial("tcp", sentinel)
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Close()
	url := fmt.Sprintf("sentinel://%s/0?master_name=primary", sentinel)
	start(t, worker.Config{BrokerURL: url, ResultBackend: url}, registerDouble(t))
	c, err := client.New(client.Config{BrokerURL: url, ResultBackend: url})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := get[int](t, send(t, c, client.Task{Name: "double", Args: []any{1}})); got != 2 {
		t.Errorf("before the failover the result is %d", got)
	}
	testenv.Eventually(t, 30*time.Second, "the replica is in step and the Sentinel knows it", func() bool {
		replicas, err := redis.Values(watcher.Do("SENTINEL", "replicas", "primary"))
		return err == nil && len(replicas) == 1 && countLines(string(primary.Do("INFO", "replication").([]byte)), "state=online") == 1
	})
	primary.Kill()
	var result *client.AsyncResult
	testenv.Eventually(t, 40*time.Second, "the replica is promoted and the client sends", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		var err error
		result, err = c.Send(ctx, client.Task{Name: "double", Args: []any{4}})
		return err == nil
	})
	if got := get[int](t, result); got != 8 {
		t.Errorf("after the failover the result is %d", got)
	}
	if countLines(string(replica.Do("INFO", "replication").([]byte)), "role:master") != 1 {
		t.Error("the replica was not promoted")
	}
}
