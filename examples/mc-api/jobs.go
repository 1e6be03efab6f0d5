package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"time"
)

// steps of the schema, by number. A step only adds: the release before this one still runs beside it, and may come back.
var steps = []string{"prices", "prices.currency", "prices.valid_until"}

// migrate brings the database to this release's schema. It may be killed and run again at any point: a step that is there is
// passed over. The database of this example is the file that DATABASE names, none: nothing but a log.
func migrate(ctx context.Context) error {
	path := os.Getenv("DATABASE")
	done, err := migrated(path)
	if err != nil {
		return err
	}
	for number := done; number < len(steps); number++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if path != "" {
			if err := os.WriteFile(path, fmt.Appendf(nil, "%d", number+1), 0o600); err != nil {
				return fmt.Errorf("step %d: %w", number+1, err)
			}
		}
		slog.Info("migrated", "step", number+1, "adds", steps[number], "release", os.Getenv("SLUICE_RELEASE"))
	}
	return nil
}

func migrated(path string) (int, error) {
	if path == "" {
		return 0, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	var done int
	if _, err := fmt.Sscanf(string(text), "%d", &done); err != nil || done < 0 {
		return 0, fmt.Errorf("%s holds %q: the number of steps that were made is wanted", path, text)
	}
	return done, nil
}

// integration calls a running service as its users do.
func integration(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("integration", flag.ContinueOnError)
	base := flags.String("url", "http://mc-api", "the running service")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var price Price
	faults := errors.Join(
		get(ctx, *base+"/ready", nil),
		get(ctx, *base+"/version", nil),
		get(ctx, *base+"/prices/adult", &price),
	)
	if faults == nil && (price.Ticket != "adult" || price.Cents <= 0) {
		faults = fmt.Errorf("the price of adult is %+v", price)
	}
	if faults == nil {
		slog.Info("passed", "url", *base, "image", os.Getenv("SLUICE_IMAGE"))
	}
	return faults
}

func get(ctx context.Context, url string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, response.Status)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(into)
}
