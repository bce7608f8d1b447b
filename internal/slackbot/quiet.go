package slackbot

import (
	"io"
	"log" //nolint:depguard // the Slack library takes no other logger; this one writes nowhere
	"net/http"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

// silent returns the logger for the Slack library: it writes nowhere. The
// library logs raw frames in some cases, and a frame can hold a typed secret.
func silent() *log.Logger { return log.New(io.Discard, "", 0) }

// openPace is how often a socket may be asked for: a few at once, then one a
// second. The library itself asks a thousand times a second where a server
// ends every connection at once.
func openPace() *rate.Limiter { return rate.NewLimiter(rate.Every(time.Second), 3) }

// A paced transport holds calls of apps.connections.open back, and lets every
// other call through.
type paced struct {
	next  http.RoundTripper
	limit *rate.Limiter
}

// RoundTrip implements [http.RoundTripper].
func (p *paced) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/apps.connections.open") {
		if err := p.limit.Wait(r.Context()); err != nil {
			return nil, err
		}
	}
	return p.next.RoundTrip(r)
}
