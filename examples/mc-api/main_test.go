package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type broken struct{}

func (broken) Price(context.Context, string) (Price, error) { return Price{}, errors.New("down") }

func TestAnswers(t *testing.T) {
	t.Setenv("RELEASE", "1a2b3c4")
	for _, test := range []struct {
		external External
		path     string
		status   int
		body     string
	}{
		{mocked{}, "/live", 200, "alive"},
		{mocked{}, "/ready", 200, "ready"},
		{mocked{}, "/version", 200, `"release":"1a2b3c4"`},
		{mocked{}, "/prices/adult", 200, `"cents":500`},
		{broken{}, "/prices/adult", 502, "does not answer"},
		{broken{}, "/ready", 200, "ready"}, // others being down is no reason to take every pod out of service
		{mocked{}, "/nowhere", 404, "not found"},
	} {
		recorder := httptest.NewRecorder()
		handler(test.external).ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, test.path, nil))
		if recorder.Code != test.status || !strings.Contains(recorder.Body.String(), test.body) {
			t.Errorf("%s: %d %s", test.path, recorder.Code, recorder.Body)
		}
	}
}

func TestPricesComeFromTheServiceThatIsNamed(t *testing.T) {
	other := httptest.NewServer(handler(mocked{}))
	defer other.Close()
	t.Setenv("PRICES_URL", other.URL+"/")
	price, err := externals().Price(t.Context(), "a/b")
	if err != nil || price.Ticket != "a/b" {
		t.Fatal(price, err)
	}
	t.Setenv("PRICES_URL", other.URL+"/nowhere")
	if _, err := externals().Price(t.Context(), "adult"); err == nil {
		t.Fatal("a 404 is no price")
	}
}

func TestTheIntegrationTestFindsWhatIsWrong(t *testing.T) {
	for _, test := range []struct {
		external External
		passes   bool
	}{{mocked{}, true}, {broken{}, false}} {
		server := httptest.NewServer(handler(test.external))
		err := run(t.Context(), []string{"integration", "--url", server.URL})
		server.Close()
		if (err == nil) != test.passes {
			t.Errorf("%T: %v", test.external, err)
		}
	}
}

func TestAMigrationMayBeRunAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "schema")
	t.Setenv("DATABASE", path)
	for _, before := range []string{"", "1", "3", "7"} {
		if before != "" {
			if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := run(t.Context(), []string{"migrate"}); err != nil {
			t.Fatal(before, err)
		}
		after, _ := os.ReadFile(path)
		want := "3"
		if before == "7" {
			want = "7" // a release that came back finds the newer schema, and leaves it
		}
		if string(after) != want {
			t.Errorf("%q became %q", before, after)
		}
	}
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if run(t.Context(), []string{"migrate"}) == nil {
		t.Error("a schema that cannot be read is no empty one")
	}
}

func TestLevelsAndCommandsThatAreNone(t *testing.T) {
	if level("debug") != slog.LevelDebug || level("loud") != slog.LevelInfo {
		t.Error("levels")
	}
	if err := run(t.Context(), []string{"dance"}); err == nil || !strings.Contains(err.Error(), "usage") {
		t.Error(err)
	}
}
