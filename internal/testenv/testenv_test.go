package testenv_test

import (
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/lovage-go/lovage/internal/testenv"
)

func TestRedisAnswersAndKeepsItsDataOverARestart(t *testing.T) {
	server := testenv.Redis(t, "--appendonly", "yes")
	server.Do("SET", "key", "value")
	before := server.PID()
	server.Restart()
	if got := server.Strings("KEYS", "*"); len(got) != 1 || server.PID() == before {
		t.Errorf("after a restart the keys are %v (pid %d, then %d)", got, before, server.PID())
	}
}

func TestPostgresAnswers(t *testing.T) {
	db, err := sql.Open("postgres", testenv.Postgres(t).DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var fsync string
	if err := db.QueryRow("SHOW fsync").Scan(&fsync); err != nil || fsync != "on" {
		t.Errorf("fsync is %q, %v", fsync, err)
	}
}

func TestEveryPythonEnvironmentHasItsCelery(t *testing.T) {
	for _, version := range []string{testenv.Celery57, testenv.Celery52, testenv.Celery44} {
		out := testenv.Python(t, version).Run(t.TempDir(), nil, "", "-c", "import celery; print(celery.__version__)")
		if strings.TrimSpace(out) != version {
			t.Errorf("the environment of Celery %s has %s", version, out)
		}
	}
}

func TestAProcessEndsWithItsTest(t *testing.T) {
	var server *testenv.RedisServer
	t.Run("inner", func(t *testing.T) { server = testenv.Redis(t) })
	testenv.Eventually(t, 5*time.Second, "the server of the inner test is gone", server.Exited)
}
