package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// External is what this service needs of others.
type External interface {
	Price(ctx context.Context, ticket string) (Price, error)
}

// externals are those that PRICES_URL names; "mock" or nothing: answers made here, for development.
func externals() External {
	base := os.Getenv("PRICES_URL")
	if base == "" || base == "mock" {
		return mocked{}
	}
	return prices{base: strings.TrimRight(base, "/"), client: &http.Client{Timeout: 2 * time.Second}}
}

type mocked struct{}

func (mocked) Price(_ context.Context, ticket string) (Price, error) {
	return Price{Ticket: ticket, Cents: 100 * len(ticket), Currency: "EUR"}, nil
}

type prices struct {
	base   string
	client *http.Client
}

func (p prices) Price(ctx context.Context, ticket string) (Price, error) {
	var price Price
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.base+"/prices/"+url.PathEscape(ticket), nil)
	if err != nil {
		return price, err
	}
	response, err := p.client.Do(request)
	if err != nil {
		return price, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return price, fmt.Errorf("%s answered %s", p.base, response.Status)
	}
	return price, json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&price)
}
