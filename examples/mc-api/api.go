package main

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
)

// Price is what a ticket costs.
type Price struct {
	Ticket   string `json:"ticket"`
	Cents    int    `json:"cents"`
	Currency string `json:"currency"`
}

// handler answers /live, /ready, /version and /prices/{ticket}.
func handler(external External) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /live", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "alive") })
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ready") })
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"release": os.Getenv("RELEASE")})
	})
	mux.HandleFunc("GET /prices/{ticket}", func(w http.ResponseWriter, r *http.Request) {
		ticket := r.PathValue("ticket")
		slog.Debug("asking for a price", "ticket", ticket)
		price, err := external.Price(r.Context(), ticket)
		if err != nil {
			slog.Warn("no price", "ticket", ticket, "error", err)
			answer(w, http.StatusBadGateway, map[string]string{"error": "the price service does not answer"})
			return
		}
		answer(w, http.StatusOK, price)
	})
	return mux
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		slog.Debug("nobody listens any more", "error", err)
	}
}
