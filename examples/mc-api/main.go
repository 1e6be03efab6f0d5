// Command mc-api is a small service to deliver with Sluice: an API over two external services, a migration, and an integration
// test of itself. The standard library is all that it needs.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const usage = `usage: mc-api serve                     answer requests on LISTEN (default :8080)
       mc-api migrate                   bring the database to this release's schema
       mc-api integration --url <url>   call a running service, and say what is wrong with it`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{Level: level(os.Getenv("LOG_LEVEL"))})))
	if err := run(ctx, os.Args[1:]); err != nil {
		slog.Error("ended", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	command := "serve"
	if len(args) > 0 {
		command = args[0]
	}
	switch command {
	case "serve":
		return serve(ctx)
	case "migrate":
		return migrate(ctx)
	case "integration":
		return integration(ctx, args[1:])
	}
	return fmt.Errorf("%q is no command\n%s", command, usage)
}

// level is the level of that name; info where it has none or a wrong one.
func level(name string) slog.Level {
	var found slog.Level
	if found.UnmarshalText([]byte(name)) != nil {
		return slog.LevelInfo
	}
	return found
}

func serve(ctx context.Context) error {
	listen := os.Getenv("LISTEN")
	if listen == "" {
		listen = ":8080"
	}
	server := &http.Server{Addr: listen, Handler: handler(externals()), ReadHeaderTimeout: 5 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.ListenAndServe() }()
	slog.Info("serving", "listen", listen, "release", os.Getenv("RELEASE"))
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	// Requests that are under way are answered; the pod's grace period is longer.
	ending, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := server.Shutdown(ending); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("stopping: %w", err)
	}
	return nil
}
